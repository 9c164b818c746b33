"""An index of the user's own behind a prompt cache."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Protocol

from ._outcome import Entry, Refresh
from ._prompt import number_of, tier_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_METHODS = ("find", "commit", "clear")


@dataclass(frozen=True)
class Scope:
    """Whose entries these are; those of different scopes never meet.

    Attributes:
        principal: The customer.
        model: As the client named it.
        tokenizer_version: Of the tokenizer that counted.
        id: The three condensed to 16 bytes: equal for equal scopes, on every machine.
    """

    principal: str
    model: str
    tokenizer_version: str
    id: bytes


class Index(Protocol):
    """Where a prompt cache keeps its entries, instead of the index in its configuration.

    `find` is called from several threads at once, `commit` from one thread of the library at a
    time. The library queues commits and shows them to lookups while they wait.
    """

    def find(self, scope: Scope, hashes: Sequence[bytes], live_after: int) -> Iterable[Entry]:
        """Returns all entries of these hashes that expire after `live_after`, in any order.

        Args:
            scope: Whose entries.
            hashes: Of prefixes, 32 bytes each, the longest prefix first.
            live_after: Unix nanoseconds.

        What it raises means that nothing can be said: the request goes on uncached.
        """
        ...

    def commit(self, scope: Scope, entries: Sequence[Entry], refresh: Refresh | None) -> bool:
        """Writes the entries over what is there, and sets the expiry of the one to refresh.

        Returns:
            Whether the entry to refresh was there; none is made.

        Raises:
            OSError: Out of reach: it is tried again, until the commit's deadline. What else is
                raised drops the commit.
        """
        ...

    def clear(self) -> None:
        """Drops every entry."""
        ...


def index_for_core(index: Index) -> tuple[Callable[..., Any], ...]:
    """Turns rows into what the index is given, and back."""
    for name in _METHODS:
        if not callable(getattr(index, name, None)):
            raise TypeError(f"index must have a method {name!r}")

    @functools.wraps(index.find, updated=())
    def find(scope: tuple[str, str, str, bytes], hashes: list[bytes], live_after: int) -> Any:
        found = index.find(Scope(*scope), hashes, live_after)
        return [
            (bytes(e.hash), e.cumulative_token_count, number_of(e.tier), e.expires_at)
            for e in found
        ]

    @functools.wraps(index.commit, updated=())
    def commit(
        scope: tuple[str, str, str, bytes],
        rows: list[tuple[bytes, int, int, int]],
        refresh: tuple[bytes, int] | None,
    ) -> bool | None:
        entries = [Entry(digest, count, tier_of(tier), at) for digest, count, tier, at in rows]
        try:
            return bool(
                index.commit(Scope(*scope), entries, None if refresh is None else Refresh(*refresh))
            )
        except OSError:
            # The library says once that it cannot write; this says why, to whoever asks.
            logging.getLogger("satchel.prompt_cache.index").debug("commit", exc_info=True)
            return None

    return find, commit, index.clear
