"""A prompt as the cache sees it, and the steps that a request takes with a body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from . import _core

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from ._request import Text

#: How long an entry lives after it was last read.
Tier = Literal["5m", "1h", "24h"]

_TIERS: tuple[Tier, ...] = ("5m", "1h", "24h")
_UNCHANGED = 3
_REJECTED = 2


def tier_of(number: int) -> Tier:
    """The name of `SATCHEL_TIER_*`."""
    return _TIERS[number]


def number_of(tier: Tier) -> int:
    """The `SATCHEL_TIER_*` of a name."""
    return _TIERS.index(tier)


@dataclass(frozen=True)
class Block:
    """One block, in canonical order: tools first, then the messages' content and tool calls.

    Attributes:
        role: `"tool_definition"`, `"tool_call"`, or the message's role.
        text: What is counted.
        message_index: Of the message as forwarded; None for a tool definition.
        hash: SHA-256 over all blocks up to this one, 32 bytes.
    """

    role: str
    text: str
    message_index: int | None
    hash: bytes


@dataclass(frozen=True)
class Breakpoint:
    """A marked block.

    Attributes:
        block: Its index; the prefix ends with it.
        candidate_count: How many hashes are looked up for a read.
        tier: How long an entry made for it lives.
        prefix: The prefix in wire form: `{"tools": n}` (a count), or inclusive ordinals of the body
            as forwarded, `{"message": i}`, with `"block"` or `"tool_call"` where it ends within.
    """

    block: int
    candidate_count: int
    tier: Tier
    prefix: dict[str, int]


@dataclass(frozen=True)
class Prompt:
    """A parsed body."""

    blocks: tuple[Block, ...]
    breakpoints: tuple[Breakpoint, ...]

    def __repr__(self) -> str:
        return f"<satchel.Prompt {len(self.blocks)} blocks, {len(self.breakpoints)} breakpoints>"


@dataclass(frozen=True)
class ForwardedBody:
    """A body to forward.

    Attributes:
        body: Markers removed, `include_usage` set for streams, all other bytes as they came.
        changed: Whether anything was edited.
        had_markers: Whether a marker that is not null was removed.
    """

    body: bytes
    changed: bool
    had_markers: bool


@dataclass(frozen=True)
class QueryBreakpoint:
    """What the query of a target asks for.

    Attributes:
        asked: It asks for a marker on the last block: see `query_mark`.
        unsupported: The value, where it is not one that is supported; then `asked` is False.
        target: The target to forward, without the parameter.
    """

    asked: bool
    unsupported: str | None
    target: str


def prompt_of(cache: _core.PromptCache, body: Buffer) -> Prompt:
    """Parses a body."""
    blocks, breakpoints = _core.parse(cache, body)
    return Prompt(
        tuple(
            Block(role, text, None if message < 0 else message, digest)
            for role, text, message, digest in blocks
        ),
        tuple(
            Breakpoint(block, candidates, tier_of(tier), _prefix(*ordinals))
            for block, candidates, tier, *ordinals in breakpoints
        ),
    )


def forwarded(cache: _core.PromptCache, body: Buffer) -> ForwardedBody:
    """Makes the body to forward."""
    changed, had_markers = _core.forward(cache, body)
    if changed is None:
        return ForwardedBody(bytes(body), changed=False, had_markers=had_markers)
    return ForwardedBody(changed, changed=True, had_markers=had_markers)


def query_breakpoint(target: Text) -> QueryBreakpoint:
    """Reads `?cacheBreakpoint=...` of a target, `"/path?query"`."""
    status, value, rest = _core.query_breakpoint(target)
    if status == _REJECTED:
        return QueryBreakpoint(asked=False, unsupported=value, target=rest)
    return QueryBreakpoint(asked=status != _UNCHANGED, unsupported=None, target=rest)


def query_mark(body: Buffer) -> bytes:
    """Puts the marker that the query asked for into a body.

    Returns:
        The marked body; the body itself if it has its own marker or is no object.

    Raises:
        JsonError: The body is not JSON.
    """
    marked = _core.query_mark(body)
    return bytes(body) if marked is None else marked


def canonical_json(json: Buffer) -> bytes:
    """Spells a JSON document in the one way that its hash is made of.

    Keys sorted by their bytes, the last of equal keys, no spaces, numbers and strings as serde_json
    writes them.

    Raises:
        JsonError: It is not JSON; the message names the place.
    """
    return _core.canonical_json(json)


def _prefix(*ordinals: int) -> dict[str, int]:
    names = ("tools", "message", "block", "tool_call")
    return {name: ordinal for name, ordinal in zip(names, ordinals) if ordinal >= 0}
