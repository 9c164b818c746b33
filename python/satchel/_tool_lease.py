"""How a result gets into a tool cache: at one's turn to compute it, or piece by piece."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from ._errors import ClosedError, StateError
from ._tool_result import keys_for_core, roots_for_core

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from typing_extensions import Buffer

    from . import _core
    from ._tool_cache import ToolCache
    from ._tool_result import RootLike


@dataclass(frozen=True)
class Stored:
    """Whether a result was kept. True if it was.

    Attributes:
        stored: Whether it was.
        reason: If it was not, why: a root changed while the tool ran, or the lease had passed on.
            The result is good to be used all the same.
    """

    stored: bool
    reason: str | None = None

    def __bool__(self) -> bool:
        return self.stored


@dataclass(frozen=True)
class Wait:
    """Somebody else is computing the result, and was not done in time.

    Attributes:
        key: Of which call.
    """

    key: str


class ToolWriter:
    """A payload on its way into the store, piece by piece.

    As a context manager it commits when the block ends, unless that was done before; an exception
    leaves nothing in the store. One thread at a time.

    Attributes:
        key: Of which call.
        stored: What `commit` answered, None until then.
    """

    __slots__ = ("__weakref__", "_core", "_owner", "key", "stored")

    def __init__(self, owner: object, key: str, core: _core.ToolWriter) -> None:
        self._owner = owner  # the cache or the lease lives as long as this
        self._core = core
        self.key = key
        self.stored: Stored | None = None

    def write(self, data: Buffer) -> int:
        """Appends bytes, and returns how many.

        Raises:
            NoSpaceError: Disk or quota is full.
        """
        return self._core.write(data)

    def commit(self) -> Stored:
        """Stores what was written.

        Raises:
            NoSpaceError: Disk or quota is full; nothing was stored.
        """
        reason = self._core.commit()
        self.stored = Stored(reason is None, reason)
        self._core.close()
        return self.stored

    def abort(self) -> None:
        """Forgets what was written, unless it was committed. Calling it again does nothing."""
        self._core.close()

    @property
    def closed(self) -> bool:
        """Whether it was committed or aborted."""
        return self._core.closed

    def __enter__(self) -> ToolWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None and not self.closed:
                self.commit()
        finally:
            self.abort()

    def __repr__(self) -> str:
        state = (
            "open" if not self.closed else "aborted" if self.stored is None else repr(self.stored)
        )
        return f"<satchel.ToolWriter {self.key[:12]}, {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a satchel.ToolWriter cannot be pickled or copied")


class Lease:
    """One's turn to compute a result. The fingerprints of the call's roots have been taken.

    Ended by `commit`, `abandon`, or the commit of its writer. As a context manager it abandons
    itself when the block ends without that; so does one that nobody refers to any more.

    Attributes:
        key: Of which call.
    """

    __slots__ = ("__weakref__", "_cache", "_core", "key")

    def __init__(self, cache: ToolCache, key: str, core: _core.ToolLease) -> None:
        self._cache = cache  # a cache that nobody else keeps lives as long as its leases
        self._core = core
        self.key = key

    def commit(
        self,
        payload: Buffer,
        upstreams: Iterable[str] = (),
        roots: Iterable[RootLike] = (),
        *,
        kind: str | None = None,
    ) -> Stored:
        """Stores the result, unless a root changed while the tool ran.

        Args:
            payload: The bytes.
            upstreams: Keys of the results it was made from.
            roots: Roots beside those of the call, with their fingerprints from before they were
                read.
            kind: A kind other than the call's.

        Raises:
            StateError: It was ended before.
            NoSpaceError: Disk or quota is full; nothing was stored.
        """
        reason = self._core.commit(payload, kind, roots_for_core(roots), keys_for_core(upstreams))
        return Stored(reason is None, reason)

    def writer(
        self,
        *,
        roots: Iterable[RootLike] = (),
        upstreams: Iterable[str] = (),
        kind: str | None = None,
    ) -> ToolWriter:
        """A writer for the result; its commit ends the lease."""
        core = self._core.writer(kind, roots_for_core(roots), keys_for_core(upstreams))
        return ToolWriter(self, self.key, core)

    def abandon(self) -> None:
        """There will be no result: whoever waits may begin.

        Raises:
            StateError: It was ended before.
        """
        self._core.abandon()

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(StateError, ClosedError):
            self.abandon()

    def __repr__(self) -> str:
        return f"<satchel.Lease {self.key[:12]} at {id(self):#x}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a satchel.Lease cannot be pickled or copied: it belongs to this process")
