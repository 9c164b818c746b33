"""A result, computed where it is not known: the block behind `ToolCache.computing`.

Inside such a block, or a cached function, the results of others become part of the one that is
made: their keys as upstreams, and their roots too, because a lookup looks at an entry's own roots
only. What cannot be named so, a result that was not stored, keeps the outer one from being stored.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import logging
import math
import os
import threading
import time
from typing import TYPE_CHECKING, NoReturn

from . import _core
from ._errors import (
    ArgumentError,
    BusyError,
    ClosedError,
    ConfigError,
    Error,
    StateError,
)
from ._tool_lease import Lease, Stored, Wait
from ._tool_result import Hit, Root

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from typing_extensions import Buffer

    from ._tool_cache import ToolCache
    from ._tool_result import Path, RootLike

_LOG = logging.getLogger("satchel.tool_cache.computing")
# What these say is a mistake of the program, which must not go unnoticed. All other errors of the
# library mean: no caching now.
MISTAKES = (ArgumentError, BusyError, ClosedError, ConfigError, StateError)
# How long a thread waits on behalf of a task before it asks whether the task still wants it.
_SLICE = 1.0


class _Frame:
    """What has become part of the result that is being made."""

    def __init__(self, cache: ToolCache, key: str, outer: _Frame | None) -> None:
        self.cache = cache
        self.key = key
        self.outer = outer
        self.upstreams: dict[str, None] = {}
        self.roots: dict[tuple[Path, str], None] = {}
        self.complete = True

    def is_computing(self, cache: ToolCache, key: str) -> bool:
        frame: _Frame | None = self
        while frame is not None:
            if frame.cache is cache and frame.key == key:
                return True
            frame = frame.outer
        return False

    def add(self, cache: ToolCache, key: str, roots: Iterable[Root]) -> None:
        if cache is self.cache:
            self.upstreams[key] = None
        for path, expected in roots:
            # Another cache may have another workspace, and its keys mean nothing here.
            ours = path if cache is self.cache else os.path.join(cache.workspace, os.fsdecode(path))
            self.roots[ours, expected] = None


_frame: contextvars.ContextVar[_Frame | None] = contextvars.ContextVar(
    "satchel_computing", default=None
)


class Computing:
    """A block that has a result, or makes it. Made by `ToolCache.computing`.

    With `with` in threads, with `async with` in tasks: then nothing blocks the event loop but
    `commit`, for which there is `acommit`. Without a commit, and after an exception, nothing is
    stored and whoever waits may begin.

    Attributes:
        key: Of which call.
        hit: The result, if it is known and true. Otherwise None: make it.
        stored: What the commit answered, None until then.
    """

    def __init__(
        self,
        cache: ToolCache,
        key: str,
        kind: str,
        *,
        roots: Iterable[Path | RootLike],
        args_summary: str,
        wait: float | None,
        lease: float | None,
        lenient: bool = False,
    ) -> None:
        self.key = key
        self.hit: Hit | None = None
        self.stored: Stored | None = None
        self._cache = cache
        self._wait = math.inf if wait is None else wait
        self._begin = functools.partial(
            cache.get_or_begin,
            key,
            kind,
            roots=list(roots) if not isinstance(roots, (str, bytes, os.PathLike)) else roots,
            args_summary=args_summary,
            lease=lease,
        )
        self._lenient = lenient
        self._lease: Lease | None = None
        self._why_no_lease = "somebody else is computing it"
        self._payload: bytes | None = None
        self._mine: _Frame | None = None
        self._outer: _Frame | None = None
        self._told_outer = False
        self._token: contextvars.Token[_Frame | None] | None = None

    @property
    def payload(self) -> bytes:
        """The result: of the hit, or what was committed.

        Raises:
            StateError: There is none yet.
        """
        if self.hit is not None:
            return self.hit.payload
        if self._payload is None:
            raise StateError(-3, "ERR_STATE", "there is no result yet: commit it")
        return self._payload

    def commit(
        self,
        payload: Buffer,
        *,
        upstreams: Iterable[str] = (),
        roots: Iterable[RootLike] = (),
    ) -> Stored:
        """Stores the result, unless a root changed while it was made.

        Args:
            payload: The bytes.
            upstreams: Keys of results it was made from, beside those used inside the block.
            roots: Roots beside those of the call, with their fingerprints from before they were
                read.

        Raises:
            StateError: There is a result already.
            NoSpaceError: Disk or quota is full; nothing was stored.
        """
        if self._mine is None or self.hit is not None or self.stored is not None:
            raise StateError(-3, "ERR_STATE", "there is nothing to commit, or no longer")
        self._payload = bytes(payload)
        self.stored = self._store(self._payload, [*upstreams], [*roots])
        if self.stored:
            self._tell_outer_what_was_made(self._payload)
        return self.stored

    async def acommit(
        self,
        payload: Buffer,
        *,
        upstreams: Iterable[str] = (),
        roots: Iterable[RootLike] = (),
    ) -> Stored:
        """The same, without blocking the event loop."""
        return await asyncio.to_thread(self.commit, payload, upstreams=upstreams, roots=roots)

    def _store(self, payload: bytes, upstreams: list[str], roots: list[RootLike]) -> Stored:
        frame = self._mine
        assert frame is not None
        if self._lease is None:
            return Stored(False, self._why_no_lease)
        if not frame.complete:
            self._end_lease()
            return Stored(False, "a result that it was made from is not stored")
        try:
            return self._lease.commit(
                payload,
                upstreams=dict.fromkeys([*frame.upstreams, *upstreams]),
                roots=dict.fromkeys([*frame.roots, *roots]),
            )
        except Error as error:
            if not self._lenient or isinstance(error, MISTAKES):
                raise
            _LOG.warning("a result is not stored: %s", error)
            return Stored(False, str(error))

    def _tell_outer_what_was_made(self, payload: bytes) -> None:
        if self._outer is None:
            return
        # The roots with the fingerprints that the library took. Somebody may have stored another
        # result since: with the same bytes its roots are as good as ours.
        with contextlib.suppress(Error):
            found = self._cache.lookup(self.key)
            if found and found.payload_hash == _core.tool_key(payload):
                self._outer.add(self._cache, self.key, found.roots)
                self._told_outer = True

    # ----------------------------------------------------------------------------- the block

    @contextlib.contextmanager
    def _entering(self) -> Iterator[bool]:
        """Says whether to ask the library, and takes its errors."""
        if self._mine is not None:
            raise StateError(-3, "ERR_STATE", "a block of computing is entered once")
        self._outer = _frame.get()
        self._mine = _Frame(self._cache, self.key, self._outer)
        around = self._outer is not None and self._outer.is_computing(self._cache, self.key)
        if around:
            self._why_no_lease = "it is being computed around this very call"
        try:
            yield not around
        except BaseException as error:
            # Whatever the outer result becomes now, it is not made from this one.
            self._spoil_outer()
            if not self._lenient or not isinstance(error, Error) or isinstance(error, MISTAKES):
                raise
            _LOG.warning("a result is computed without the cache: %s", error)
            self._why_no_lease = str(error)
            self._entered(None)

    def _entered(self, begun: Hit | Lease | Wait | None) -> None:
        if isinstance(begun, Hit):
            self.hit = begun
            if self._outer is not None:
                self._outer.add(self._cache, self.key, begun.roots)
                self._told_outer = True
        elif isinstance(begun, Lease):
            self._lease = begun
        self._token = _frame.set(self._mine)

    def _exit(self) -> None:
        if self._token is not None:
            with contextlib.suppress(ValueError):  # left in another context than it was entered in
                _frame.reset(self._token)
            self._token = None
        self._end_lease()
        if not self._told_outer:
            self._spoil_outer()

    def _spoil_outer(self) -> None:
        if self._outer is not None:
            self._outer.complete = False

    def _forget_hit(self, why: str) -> None:
        """The hit could not be read."""
        self.hit = None
        self._why_no_lease = why
        self._spoil_outer()

    def _end_lease(self) -> None:
        if self._lease is not None:
            with contextlib.suppress(StateError, ClosedError):
                self._lease.abandon()
            self._lease = None

    def __enter__(self) -> Computing:
        with self._entering() as ask:
            self._entered(self._begin(wait=self._wait) if ask else None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exit()

    async def __aenter__(self) -> Computing:
        with self._entering() as ask:
            self._entered(await self._begin_async() if ask else None)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exit()

    async def _begin_async(self) -> Hit | Lease | Wait:
        start = time.monotonic()
        begun = await asyncio.to_thread(self._begin, wait=0.0)
        # Threads that wait are others than those that work: whoever is waited for may need one.
        while isinstance(begun, Wait):
            left = self._wait - (time.monotonic() - start)
            if left <= 0:
                break
            work = functools.partial(self._begin, wait=min(left, _SLICE))
            begun = await asyncio.get_running_loop().run_in_executor(_waiting_threads(), work)
        return begun

    def __repr__(self) -> str:
        state = (
            "hit"
            if self.hit is not None
            else repr(self.stored)
            if self.stored is not None
            else "leased"
            if self._lease is not None
            else "no lease"
        )
        return f"<satchel.Computing {self.key[:12]}, {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a satchel.Computing cannot be pickled or copied")


_threads: concurrent.futures.ThreadPoolExecutor | None = None
_threads_lock = threading.Lock()


def _waiting_threads() -> concurrent.futures.ThreadPoolExecutor:
    global _threads
    with _threads_lock:
        if _threads is None:
            _threads = concurrent.futures.ThreadPoolExecutor(32, "satchel-wait")
        return _threads


def _after_fork_in_child() -> None:
    # The threads stayed with the parent, perhaps with the lock.
    global _threads, _threads_lock
    _threads = None
    _threads_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
