"""A store of the user's own behind a tool cache."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Callable, Protocol, Union

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer

#: The text of a meta file, which a store keeps as it is.
MetaText = Union[str, bytes]

_METHODS = ("persist", "lookup", "remove", "contains", "iterate", "total_bytes", "evict_to_cap")


class ToolStore(Protocol):
    """Where a tool cache keeps its entries, instead of a directory.

    Called from several threads at once, also from the library's own. A store checks nothing:
    hashes, roots and leases remain the library's affair. What a method raises is reported through
    `sys.unraisablehook`, and the call that needed it raises `Error`.
    """

    def persist(self, key: str, payload: bytes, meta: bytes) -> None:
        """Keeps an entry, in place of one with the same key."""
        ...

    def lookup(self, key: str) -> tuple[Buffer, MetaText] | None:
        """Returns payload and meta as they were persisted, None where there is no entry."""
        ...

    def remove(self, key: str) -> bool:
        """Removes an entry, and returns whether there was one."""
        ...

    def contains(self, key: str) -> bool:
        """Says whether there is an entry."""
        ...

    def iterate(self) -> Iterable[tuple[str, MetaText]]:
        """Returns keys and metas of all entries."""
        ...

    def total_bytes(self) -> int:
        """Returns how many bytes all entries take."""
        ...

    def evict_to_cap(self, cap: int) -> Iterable[str]:
        """Removes entries until `total_bytes` is at most `cap`, and returns their keys."""
        ...


def store_for_core(store: ToolStore) -> tuple[Callable[..., Any], ...]:
    """Checks what the store has, and what it returns."""
    for name in _METHODS:
        if not callable(getattr(store, name, None)):
            raise TypeError(f"host_store must have a method {name!r}")

    @functools.wraps(store.lookup, updated=())
    def lookup(key: str) -> Any:
        found = store.lookup(key)
        if found is None:
            return None
        payload, meta = found
        return payload, meta

    @functools.wraps(store.remove, updated=())
    def remove(key: str) -> bool:
        return bool(store.remove(key))

    @functools.wraps(store.contains, updated=())
    def contains(key: str) -> bool:
        return bool(store.contains(key))

    @functools.wraps(store.iterate, updated=())
    def iterate() -> list[tuple[str, MetaText]]:
        return [(key, meta) for key, meta in store.iterate()]

    @functools.wraps(store.evict_to_cap, updated=())
    def evict_to_cap(cap: int) -> list[str]:
        return list(store.evict_to_cap(cap))

    return store.persist, lookup, remove, contains, iterate, store.total_bytes, evict_to_cap
