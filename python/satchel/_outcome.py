"""Classification without a response around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from ._prompt import Tier, tier_of

if TYPE_CHECKING:
    from . import _core
    from ._prompt_cache import PromptCache


@dataclass(frozen=True)
class Entry:
    """An entry that a commit writes.

    Attributes:
        hash: Of the prefix, 32 bytes.
        cumulative_token_count: Tokens of the prefix.
        tier: How long it lives after it was last read.
        expires_at: Unix nanoseconds.
    """

    hash: bytes
    cumulative_token_count: int
    tier: Tier
    expires_at: int


@dataclass(frozen=True)
class Refresh:
    """An entry whose life a commit extends.

    Attributes:
        hash: Of the prefix, 32 bytes.
        expires_at: Unix nanoseconds.
    """

    hash: bytes
    expires_at: int


class Outcome:
    """What a body would read and create, made by `PromptCache.classify`.

    Attributes:
        active: The principal is known and the model enabled.
        degraded: Zero because something failed, not because of the prompt.
        read: Tokens read.
        creation_5m: Tokens created that live 5 minutes.
        creation_1h: Tokens created that live an hour.
        creation_24h: Tokens created that live a day.
        entries: What a commit writes.
        refresh: What a commit extends, if anything.
        principal: Of the scope that was looked up.
        model: Of the scope, as the client named it.
        tokenizer_version: Of the scope.
        render_total: Tokens of the whole prompt, where it was counted exactly, else None.
    """

    def __init__(self, cache: PromptCache, core: _core.Outcome) -> None:
        self._cache = cache
        self._core = core
        (
            self.active,
            self.degraded,
            self.read,
            self.creation_5m,
            self.creation_1h,
            self.creation_24h,
            refresh,
            self.principal,
            self.model,
            self.tokenizer_version,
            self.render_total,
        ) = core.summary()
        self.refresh = None if refresh is None else Refresh(*refresh)
        self.entries = tuple(
            Entry(digest, tokens, tier_of(tier), expires_at)
            for digest, tokens, tier, expires_at in core.entries()
        )

    def commit(self) -> None:
        """Hands the entries over for writing, once; again does nothing.

        Raises:
            ClosedError: The cache is closed.
        """
        self._core.commit()

    def __repr__(self) -> str:
        created = self.creation_5m + self.creation_1h + self.creation_24h
        state = "degraded" if self.degraded else "active" if self.active else "inactive"
        return (
            f"<satchel.Outcome {state}, read={self.read}, created={created}, "
            f"{len(self.entries)} entries>"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError("a satchel.Outcome cannot be pickled or copied: it lives in this process")
