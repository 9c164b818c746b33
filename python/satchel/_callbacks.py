"""The host's parts, written in Python.

Each may be called from several threads at once, also from the library's own. An exception in one is
a failure for the library, which then does what the header says (the request goes on uncached), and
is reported through `sys.unraisablehook`. `NotImplemented` asks for the built-in.
"""

from __future__ import annotations

import functools
import json
import logging
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Callable, Optional, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

#: `log(level, component, message)`; levels are those of `logging`.
Log = Callable[[int, str, str], object]
#: Nanoseconds, as `time.time_ns` and `time.monotonic_ns`.
Clock = Callable[[], int]
#: The principal that an API key belongs to, None if nobody knows it.
PrincipalResolver = Callable[[str], Optional[str]]

_MAX_COUNT = 2**32 - 1
_NOT_COUNTED = -1


@dataclass(frozen=True)
class ModelPolicy:
    """What holds for a model.

    Attributes:
        enabled: Whether it takes part.
        min_prefix_tokens: Tokens that a prefix needs to be cached.
    """

    enabled: bool = True
    min_prefix_tokens: int = 1024


#: What holds for a model, None if it does not take part.
ModelResolver = Callable[[str], Optional[ModelPolicy]]


class RenderFailure(IntEnum):
    """Why a prompt cannot be rendered.

    Attributes:
        UNMAPPED: The model is not known: nothing is cached.
        NO_TEMPLATE: The model has none: segments are counted instead.
        FAILED: The template refuses this prompt: likewise.
    """

    UNMAPPED = 1
    NO_TEMPLATE = 2
    FAILED = 3


@dataclass(frozen=True)
class RenderRequest:
    """A prompt to be written out by the model's chat template, as it is sent upstream.

    Attributes:
        messages: As in the body, usually a list.
        tools: As in the body, None where it has none.
        prefixes: The parts to be counted, without generation prompt: `{"tools": n}`, the first n
            tools and no message; `{"message": i}`, all up to and including message i, of which
            `"block"` or `"tool_call"` name the last element that belongs to it.
        timeout: Seconds for which the answer is waited for.
    """

    messages: Any
    tools: Any
    prefixes: Sequence[Mapping[str, int]]
    timeout: float


@dataclass(frozen=True)
class Rendered:
    """What a rendered prompt counts.

    Attributes:
        total: Tokens of the whole prompt, generation prompt included.
        prefix_counts: Tokens of each prefix, None where the template refuses it.
    """

    total: int
    prefix_counts: Sequence[int | None]


class Tokenizer(Protocol):
    """Who counts tokens.

    A third method is optional, for exact counting (`"exact": true` in the configuration):
    `render(model, request)` is given a `RenderRequest` for models of which `versions` named a
    template, and returns `Rendered`, or a `RenderFailure`; to say that the service is out of reach,
    it raises.
    """

    def versions(self, model: str) -> Mapping[str, str | tuple[str, str]]:
        """Lists the models it knows, at least `model`; remembered for 300 seconds.

        Returns:
            The version of the tokenizer by model, or a pair of that and the version of the chat
            template. A `model` that is missing is not cached; to say that the service is out of
            reach, raise.
        """
        ...

    def tokenize(self, model: str, segments: Sequence[str]) -> Sequence[int]:
        """Counts the tokens of each segment, special tokens not added."""
        ...


def log_to_logging(level: int, component: str, message: str) -> None:
    """Writes to the loggers below `satchel`, such as `satchel.prompt_cache.index`."""
    logging.getLogger(f"satchel.{component}").log(level, "%s", message)


def check_callable(value: object, name: str) -> None:
    """Raises TypeError for what cannot be called."""
    if value is not None and not callable(value):
        raise TypeError(f"{name} must be callable, not {type(value).__name__}")


def principals_for_core(resolve: PrincipalResolver) -> Callable[[str], Any]:
    """Checks what `resolve` returns."""

    @functools.wraps(resolve, updated=())
    def resolve_principal(api_key: str) -> Any:
        principal = resolve(api_key)
        if principal is None or principal is NotImplemented or isinstance(principal, str):
            return principal
        raise TypeError(f"principals must return str or None, not {type(principal).__name__}")

    return resolve_principal


def models_for_core(resolve: ModelResolver) -> Callable[[str], Any]:
    """Turns what `resolve` returns into (enabled, min_prefix_tokens)."""

    @functools.wraps(resolve, updated=())
    def resolve_model(model: str) -> Any:
        policy = resolve(model)
        if policy is None or policy is NotImplemented:
            return policy
        if not isinstance(policy, ModelPolicy):
            raise TypeError(f"models must return ModelPolicy or None, not {type(policy).__name__}")
        return bool(policy.enabled), _count(policy.min_prefix_tokens, "min_prefix_tokens")

    return resolve_model


def tokenizer_for_core(
    tokenizer: Tokenizer,
) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any] | None]:
    """Turns what the tokenizer returns into rows of versions, cumulative counts and renders."""
    for method in ("versions", "tokenize"):
        if not callable(getattr(tokenizer, method, None)):
            raise TypeError(f"tokenizer must have a method {method!r}")
    render = getattr(tokenizer, "render", None)
    check_callable(render, "tokenizer.render")
    return (
        _versions_for_core(tokenizer),
        _counts_for_core(tokenizer),
        None if render is None else _render_for_core(render),
    )


def _versions_for_core(tokenizer: Tokenizer) -> Callable[[str], Any]:
    def versions(model: str) -> Any:
        known = tokenizer.versions(model)
        if known is NotImplemented:
            return known
        return [
            (name, version, None) if isinstance(version, str) else (name, *_pair(version))
            for name, version in known.items()
        ]

    return _named_after(tokenizer.versions, versions)


def _counts_for_core(tokenizer: Tokenizer) -> Callable[[str, list[str]], Any]:
    def tokenize(model: str, segments: list[str]) -> Any:
        counts = tokenizer.tokenize(model, segments)
        if counts is NotImplemented:
            return counts
        return _cumulative(counts)

    return _named_after(tokenizer.tokenize, tokenize)


def _render_for_core(user: Callable[[str, RenderRequest], Any]) -> Callable[..., Any]:
    def render(
        model: str,
        messages: str,
        tools: str | None,
        prefixes: list[tuple[int, int, int, int]],
        timeout_ms: int,
    ) -> Any:
        rendered = user(
            model,
            RenderRequest(
                json.loads(messages),
                None if tools is None else json.loads(tools),
                [_wire_prefix(prefix) for prefix in prefixes],
                timeout_ms / 1000,
            ),
        )
        if rendered is NotImplemented:
            return rendered
        if isinstance(rendered, RenderFailure):
            return int(rendered)
        if not isinstance(rendered, Rendered):
            raise TypeError(
                f"render must return Rendered or RenderFailure, not {type(rendered).__name__}"
            )
        counts = [
            _NOT_COUNTED if count is None else _count(count, "a token count")
            for count in rendered.prefix_counts
        ]
        return _count(rendered.total, "the token count of a prompt"), counts

    return _named_after(user, render)


def _wire_prefix(prefix: tuple[int, int, int, int]) -> dict[str, int]:
    names = ("tools", "message", "block", "tool_call")
    return {name: value for name, value in zip(names, prefix) if value >= 0}


def _named_after(user: Callable[..., Any], ours: Callable[..., Any]) -> Callable[..., Any]:
    # For sys.unraisablehook, which says in what the exception was.
    return functools.wraps(user, updated=())(ours)


def _pair(version: tuple[str, str]) -> tuple[str, str]:
    tokenizer_version, template_version = version
    return tokenizer_version, template_version


def _cumulative(counts: Iterable[int]) -> list[int]:
    total = 0
    cumulative = []
    for count in counts:
        total += _count(count, "a token count")
        cumulative.append(_count(total, "the token count of a prompt"))
    return cumulative


def _count(value: Any, what: str) -> int:
    count = operator.index(value)
    if not 0 <= count <= _MAX_COUNT:
        raise ValueError(f"{what} must be from 0 to {_MAX_COUNT}, not {count}")
    return count
