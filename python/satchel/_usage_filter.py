"""A response on its way to the client with its usage edited, without a request around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NoReturn

from . import _core

if TYPE_CHECKING:
    from typing_extensions import Buffer


@dataclass(frozen=True)
class CacheUsage:
    """Tokens by what the cache made of them."""

    read: int = 0
    creation_5m: int = 0
    creation_1h: int = 0
    creation_24h: int = 0


class UsageFilter:
    """Edits the usage in one response body. Source: `satchel_usage_filter` in `satchel.h`.

    One thread at a time.

    Args:
        kind: What the body is.
        usage: Written into the response; None to only remove what the provider wrote about its own
            cache.
    """

    def __init__(self, kind: Literal["json", "sse"], usage: CacheUsage | None = None) -> None:
        if kind not in ("json", "sse"):
            raise ValueError(f"kind must be 'json' or 'sse', not {kind!r}")
        counts = None
        if usage is not None:
            counts = (usage.read, usage.creation_5m, usage.creation_1h, usage.creation_24h)
        self._kind = kind
        self._core = _core.new_usage_filter(kind == "sse", counts)

    def write(self, data: Buffer) -> bytes:
        """Takes bytes of the response, cut anywhere, and returns those for the client.

        Raises:
            StreamError: An event is too long. Break the client's connection.
        """
        return self._core.write(data)

    def end(self) -> bytes:
        """The response ended; returns the last bytes for the client."""
        return self._core.end()

    @property
    def changed(self) -> bool:
        """Whether any byte was edited."""
        return self._core.saw()[0]

    @property
    def saw_usage(self) -> bool:
        """Whether a usage object went by."""
        return self._core.saw()[1]

    @property
    def saw_error(self) -> bool:
        """Whether an error frame went by."""
        return self._core.saw()[2]

    def __repr__(self) -> str:
        return f"<satchel.UsageFilter {self._kind}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a satchel.UsageFilter cannot be pickled or copied: it lives in this process"
        )
