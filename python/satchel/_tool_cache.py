"""The tool cache."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Callable, Literal

from . import _callbacks, _core, _tool_cached
from ._opened import Opened
from ._prompt_cache import _config_json
from ._tool_computing import Computing
from ._tool_lease import Lease, ToolWriter, Wait
from ._tool_result import (
    Hit,
    Lookup,
    Path,
    RootLike,
    asked_roots_for_core,
    keys_for_core,
    lookup_of,
    path_for_core,
    roots_for_core,
)
from ._tool_store import ToolStore, store_for_core

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from ._prompt_cache import LogLevel
    from ._tool_cached import F, Roots

FingerprintForm = Literal["content", "directory", "stat", "content_or_stat"]
_FORMS: dict[str, int] = {"content": 0, "directory": 1, "stat": 2, "content_or_stat": 3}
_PAGE = 1000

# ToolCache has a method of this name.
_List = list


def tool_key(data: Buffer) -> str:
    """The key of a call: BLAKE3 of its canonical input, 64 hexadecimal digits."""
    return _core.tool_key(data)


def tool_result_key(data: Buffer) -> str:
    r"""The key under which a result's own bytes are known: that of `b"tool_result\0" + data`."""
    return _core.tool_result_key(data)


class ToolCache(Opened["_core.ToolCache"]):
    """Says whether a tool call was made before and its result is still true, and keeps results.

    Results stand under the hash of the call's input and are returned byte for byte, only while
    every file they depend on is unchanged. Any thread may use it at any time; all its calls may
    wait for the disk. Close it, best as a context manager.

    Args:
        store: The directory, made where it is missing; processes share it.
        workspace: What relative paths are relative to; by default the working directory now.
        config: The configuration, a mapping or its JSON; `docs/configuration.md` has the keys.
        host_store: A store of your own instead of the directory.
        log: Gets one line at a time, `log(level, component, message)`; by default the loggers below
            `satchel` of `logging`.
        log_level: The least level that is logged.
        clock: Unix nanoseconds; by default the system's clock.
        monotonic: Nanoseconds that never go back; by default the system's.

    Raises:
        ConfigError: A key is unknown or its value has the wrong type; the message names it.
        ArgumentError: Neither a store nor a host_store, or both.
        Error: The directory cannot be made or read.
    """

    _kind = "tool cache"
    _shared = "a store is shared"

    def __init__(
        self,
        store: Path | None = None,
        *,
        workspace: Path | None = None,
        config: Mapping[str, Any] | str | None = None,
        host_store: ToolStore | None = None,
        log: _callbacks.Log | None = None,
        log_level: LogLevel = "warn",
        clock: _callbacks.Clock | None = None,
        monotonic: _callbacks.Clock | None = None,
    ) -> None:
        for name, value in (("log", log), ("clock", clock), ("monotonic", monotonic)):
            _callbacks.check_callable(value, name)
        self._store = None if store is None else os.fsdecode(store)
        given = "" if workspace is None else os.fsdecode(workspace)
        self._workspace = given if os.path.isabs(given) else os.path.join(os.getcwd(), given)
        self._core = _core.open_tool_cache(
            _config_json(config),
            store=None if store is None else path_for_core(store),
            workspace=path_for_core(self._workspace),
            host_config=json.dumps({"log_level": log_level}).encode(),
            log=_callbacks.log_to_logging if log is None else log,
            clock=clock,
            monotonic=monotonic,
            host_store=None if host_store is None else store_for_core(host_store),
        )

    # -------------------------------------------------------------------------------- lookups

    def lookup(self, key: str) -> Lookup:
        """Looks a result up, without looking at its roots.

        Raises:
            IntegrityError: The payload is not what was stored.
            MetaError: What stands beside it cannot be read.
        """
        return lookup_of(key, self._core.lookup(key, False))

    def lookup_revalidate(self, key: str) -> Lookup:
        """Looks a result up; it is a hit only if every root is as it was.

        One that is invalidated stays on disk: put the file back, and it hits again.

        Raises:
            IntegrityError: The payload is not what was stored.
            MetaError: What stands beside it cannot be read.
        """
        return lookup_of(key, self._core.lookup(key, True))

    def contains(self, key: str) -> bool:
        """Whether the entry is known to this process, or both its files are there."""
        return self._core.contains(key)

    # -------------------------------------------------------------------------------- storing

    def persist(
        self,
        key: str,
        payload: Buffer,
        kind: str,
        *,
        roots: Iterable[RootLike] = (),
        upstreams: Iterable[str] = (),
    ) -> None:
        """Stores a result.

        Args:
            key: Of which call.
            payload: The bytes.
            kind: `"read"`, `"bash"`: free text, for statistics.
            roots: What it depends on, `Root` or pairs of path and fingerprint; fingerprints from
                before the tool ran.
            upstreams: Keys of the results that it was made from.

        Raises:
            NoSpaceError: Disk or quota is full; nothing was stored.
        """
        self._core.persist(key, payload, kind, roots_for_core(roots), keys_for_core(upstreams))

    def writer(
        self,
        key: str,
        kind: str,
        *,
        roots: Iterable[RootLike] = (),
        upstreams: Iterable[str] = (),
    ) -> ToolWriter:
        """Stores a result piece by piece."""
        core = self._core.writer(key, kind, roots_for_core(roots), keys_for_core(upstreams))
        return ToolWriter(self, key, core)

    def get_or_begin(
        self,
        key: str,
        kind: str,
        *,
        roots: Iterable[Path | RootLike] = (),
        args_summary: str = "",
        wait: float = 0.0,
        lease: float | None = None,
    ) -> Hit | Lease | Wait:
        """The result if it is known and true, else the turn to compute it.

        Of all threads and processes one gets the lease; a lease whose process died, or whose time
        is over, passes on. A damaged entry counts as none.

        Args:
            key: Of which call.
            kind: `"read"`, `"bash"`: free text, for statistics.
            roots: Files that the tool will read: paths, or `Root(path, form=...)` for a directory
                or for size and time only.
            args_summary: For the line in the statistics.
            wait: Seconds to wait for somebody else who computes it.
            lease: Seconds until when it should be done; by default as configured.

        Returns:
            `Hit`, `Lease` or `Wait`.
        """
        begun = self._core.get_or_begin(
            key, kind, args_summary, asked_roots_for_core(roots), wait, _lease_seconds(lease)
        )
        if isinstance(begun, _core.ToolResult):
            return Hit(key, begun)
        if isinstance(begun, _core.ToolLease):
            return Lease(self, key, begun)
        return Wait(key)

    def computing(
        self,
        key: str,
        kind: str,
        *,
        roots: Iterable[Path | RootLike] = (),
        args_summary: str = "",
        wait: float | None = None,
        lease: float | None = None,
    ) -> Computing:
        """A block that has the result, or makes it; for `with` and `async with`.

        Args:
            key: Of which call.
            kind: As in `get_or_begin`, like the others.
            roots: Files that the block will read.
            args_summary: For the line in the statistics.
            wait: Seconds to wait for somebody else who computes it, then the block makes it
                without storing it. By default as long as it takes.
            lease: Seconds until when it should be done; by default as configured.
        """
        return Computing(
            self, key, kind, roots=roots, args_summary=args_summary, wait=wait, lease=lease
        )

    def cached(
        self,
        *,
        kind: str | None = None,
        roots: Roots = (),
        key: Callable[..., object] | None = None,
        upstreams: Callable[..., Iterable[str]] | None = None,
        version: object = None,
        dumps: Callable[[Any], bytes | str] | None = None,
        loads: Callable[[Any], Any] | None = None,
        wait: float | None = None,
        lease: float | None = None,
    ) -> Callable[[F], F]:
        """Makes the results of a function cached, also of one that is `async`.

        A call whose result is known and true returns it without calling the function; of several
        calls at once one computes. What cannot be stored is returned all the same; exceptions are
        not cached. When the cache itself fails, the function is called, and the log says so.

        The key is made from the kind, the function's module and qualified name, `version`, and the
        arguments: None, bools, numbers, str, bytes, paths, lists, tuples, sets and mappings of
        them. What is no argument is no part of it: globals, closures, the function's code.

        Results of other cached functions that are used inside become upstreams, and their roots
        roots of this one; one that was not stored keeps this one from being stored. Threads that
        the function starts are not looked at, unless they run in a copy of its context.

        Args:
            kind: For statistics; by default the function's name.
            roots: The files that the function reads: a list, or a function of those arguments that
                it names.
            key: A function of those arguments that it names; what it returns stands for the
                arguments, for instance to leave `self` out.
            upstreams: A function of the arguments that returns more upstreams.
            version: Anything that must tell results apart: change it when the function changes.
            dumps: Turns the result into bytes or str; without it the result must be one. A str is
                stored as UTF-8 with a signature.
            loads: Turns what `dumps` made into the result.
            wait: Seconds to wait for somebody else who computes it, then the function is called
                and the result not stored. By default as long as it takes.
            lease: Seconds until when it should be done; by default as configured.
        """
        return _tool_cached.cached(
            self,
            kind=kind,
            roots=roots,
            key=key,
            upstreams=upstreams,
            version=version,
            dumps=dumps,
            loads=loads,
            wait=wait,
            lease=lease,
        )

    def key_of(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
        """The key of a call of a function that `cached` of this cache has decorated."""
        return _tool_cached.key_of(self, function, *args, **kwargs)

    # --------------------------------------------------------------------------- invalidation

    def mark_dirty(self, key: str) -> None:
        """Drops one entry, whatever is there of it. What depends on it stays."""
        self._core.mark_dirty(key)

    def invalidate_upstream(self, key: str) -> int:
        """Drops everything that depends on the entry, whoever wrote it.

        Returns:
            How many were dropped; the entry itself is not.
        """
        return self._core.invalidate_upstream(key)

    def invalidate_path(self, path: Path) -> int:
        """Drops every entry with this path among its roots, and everything downstream.

        Returns:
            How many had the path itself.
        """
        return self._core.invalidate_path(path_for_core(path))

    def fingerprint(self, path: Path, form: FingerprintForm = "content") -> str | None:
        """The fingerprint that a file or directory has now, for a root.

        Args:
            path: Relative to the workspace, or absolute.
            form: `"content_or_stat"` is size and time of what is too large to be hashed.

        Returns:
            The fingerprint; None if the file is too large: do not cache what depends on it.

        Raises:
            Error: It is missing or cannot be read; `os_errno` says why.
        """
        if form not in _FORMS:
            raise ValueError(f"form must be one of {', '.join(map(repr, _FORMS))}, not {form!r}")
        return self._core.fingerprint(path_for_core(path), _FORMS[form])

    # ---------------------------------------------------------------------- upkeep, statistics

    def entry_count(self) -> int:
        """How many entries this process knows: there at opening, stored or hit by it."""
        return self._core.entry_count()

    def known_kinds(self) -> _List[str]:
        """The kinds of the entries that this process knows, sorted."""
        kinds: _List[str] = json.loads(self._core.known_kinds())
        return kinds

    def total_bytes(self) -> int:
        """Bytes of all files of the store; walks the directory."""
        return self._core.total_bytes()

    def evict_to_cap(self, cap: int) -> int:
        """Removes entries, oldest payload first, until `total_bytes` is at most `cap`.

        Returns:
            How many were removed.
        """
        return self._core.evict_to_cap(cap)

    def evict(self) -> int:
        """Keeps the configured bounds now, least recently used first.

        Returns:
            How many were removed.
        """
        return self._core.evict()

    def sweep(self, min_age_s: float = 3600.0) -> int:
        """Removes what crashed processes left: halves of entries, temporary files.

        Args:
            min_age_s: Nothing younger than this many seconds.

        Returns:
            How many files were removed.
        """
        if not min_age_s >= 0:
            raise ValueError("min_age_s must be a number of seconds, 0 or more")
        return self._core.sweep(math.ceil(min_age_s * 1000))

    def rebuild(self) -> None:
        """Makes the index anew from the store. Lookups go on meanwhile."""
        self._core.rebuild()

    def flush(self, timeout: float = 30.0) -> None:
        """Waits until what runs in the background is done.

        Args:
            timeout: Seconds.

        Raises:
            DeadlineError: It is not, after that time.
        """
        self._core.flush(timeout)

    def stats(self) -> dict[str, Any]:
        """Everything countable; `docs/tool-cache.md` has its members."""
        counted: dict[str, Any] = json.loads(self._core.stats())
        return counted

    def metrics(self) -> str:
        """The counters of this process in the Prometheus text format."""
        return self._core.metrics().decode()

    def list(
        self, kind: str | None = None, after: str | None = None, limit: int = _PAGE
    ) -> _List[dict[str, Any]]:
        """A page of the store's entries in the order of their keys.

        Args:
            kind: Of one kind; by default of all.
            after: Behind this key; by default from the first.
            limit: At most so many, 1 to 10,000.
        """
        page: _List[dict[str, Any]] = json.loads(self._core.list(after, kind, limit))
        return page

    def entries(self, kind: str | None = None) -> Iterator[dict[str, Any]]:
        """All entries of the store in the order of their keys, page by page."""
        after: str | None = None
        while True:
            page = self.list(kind, after)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1]["key"]

    def why(self, key: str) -> dict[str, Any]:
        """Why an entry is served or not, root by root and upstream by upstream.

        Changes nothing; `docs/tool-cache.md` has the members.
        """
        reasons: dict[str, Any] = json.loads(self._core.why(key))
        return reasons

    def verify(self, key: str) -> bool:
        """Reads the payload and compares it with its hash. Changes nothing.

        Returns:
            True if it is whole, False if there is no such entry, or half of it.

        Raises:
            IntegrityError: The payload is not what was stored.
            MetaError: What stands beside it cannot be read.
        """
        return self._core.verify(key)

    def record(
        self,
        tool: str,
        outcome: str,
        duration_us: int,
        args_summary: str = "",
        reason: str | None = None,
    ) -> None:
        """Appends a line to the statistics, for calls that did not go through `get_or_begin`.

        Args:
            tool: The kind of tool.
            outcome: `"hit"`, `"miss"`, `"uncached"`, `"invalidate"` or `"declined"`.
            duration_us: Microseconds.
            args_summary: What it was called with, shortly.
            reason: Why it was uncached or declined.
        """
        self._core.record(tool, outcome, duration_us, args_summary, reason)

    # ------------------------------------------------------------------------------- lifetime

    @property
    def store(self) -> str | None:
        """The directory, as given."""
        return self._store

    @property
    def workspace(self) -> str:
        """What relative paths are relative to."""
        return self._workspace

    def close(self) -> None:
        """Closes the cache: waits for the calls inside. Calling it again does nothing.

        Results stay readable; leases and writers still open raise `ClosedError` from then on, and
        so does whoever waits for a lease.

        Raises:
            BusyError: Called from one of its own callbacks.
        """
        self._core.close()

    def __repr__(self) -> str:
        where = "a host store" if self._store is None else repr(self._store)
        return f"<satchel.ToolCache of {where}, {'closed' if self.closed else 'open'}>"


def _lease_seconds(lease: float | None) -> float:
    if lease is None:
        return 0.0
    if not lease > 0:
        raise ValueError("lease must be a number of seconds, more than 0")
    return lease
