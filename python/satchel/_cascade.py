"""The cascade."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any, Union

from . import _callbacks, _cascade_parts, _core
from ._opened import Opened
from ._prompt_cache import _config_json
from ._usage import Usage, unix_ns_of, usage_of

if TYPE_CHECKING:
    import asyncio

    from ._core import UsageTuple
    from ._prompt_cache import LogLevel

_FURTHEST_NS = 2**63 - 1

Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


class Cascade(Opened["_core.Cascade"]):
    """Says how much of a Claude account's quota is used.

    Ask as often as you like, from as many processes: the endpoint is asked at most once per window
    on a machine. When it is away, limits or refuses, the answer comes from what is known, and says
    where it came from. Files are shared with linesmith. A cascade stands for one account: give each
    a cache_dir and config_dirs of its own. Any thread may use it at any time. Close it, best as a
    context manager.

    Args:
        config: The configuration, a mapping or its JSON; `docs/configuration.md` has the keys, the
            most common are `timeout_ms` (2000: nobody waits longer), `cache_duration_s` (180: how
            long an answer is fresh) and `stale_while_revalidate`.
        cache_dir: Of the shared files; by default `$XDG_CACHE_HOME/linesmith` or
            `$HOME/.cache/linesmith`.
        config_dirs: Directories with `.credentials.json` and `projects/`; by default those of
            Claude Code. Empty for none.
        files: Where the files are kept, instead of `cache_dir`.
        credentials: Who has the token; by default `.credentials.json`. The library copies it, wipes
            the copy, and shows it to nobody but the endpoint.
        transcripts: Who counts tokens when the endpoint is of no help; by default `projects/`.
        http: The way to the endpoint; by default libcurl.
        log: Gets one line at a time, `log(level, component, message)`; by default the loggers below
            `satchel` of `logging`.
        log_level: The least level that is logged.
        clock: Unix nanoseconds; by default the system's clock.
        monotonic: Nanoseconds that never go back; by default the system's.

    Raises:
        ConfigError: A key is unknown or its value has the wrong type; the message names it.
    """

    _kind = "cascade"
    _shared = "its files are shared"

    def __init__(
        self,
        config: Mapping[str, Any] | str | None = None,
        *,
        cache_dir: Path | None = None,
        config_dirs: Iterable[Path] | None = None,
        files: _cascade_parts.UsageFiles | None = None,
        credentials: _cascade_parts.Credentials | None = None,
        transcripts: _cascade_parts.Transcripts | None = None,
        http: _cascade_parts.Http | None = None,
        log: _callbacks.Log | None = None,
        log_level: LogLevel = "warn",
        clock: _callbacks.Clock | None = None,
        monotonic: _callbacks.Clock | None = None,
    ) -> None:
        parts = {"credentials": credentials, "transcripts": transcripts, "http": http}
        for name, value in {**parts, "log": log, "clock": clock, "monotonic": monotonic}.items():
            _callbacks.check_callable(value, name)
        if isinstance(config_dirs, (str, bytes, os.PathLike)):
            raise TypeError("config_dirs must be several paths, not one")
        self._core = _core.open_cascade(
            _config_json(config),
            cache_dir=None if cache_dir is None else os.fsencode(cache_dir),
            config_dirs=None
            if config_dirs is None
            else [os.fsencode(path) for path in config_dirs],
            host_config=json.dumps({"log_level": log_level}).encode(),
            log=_callbacks.log_to_logging if log is None else log,
            clock=clock,
            monotonic=monotonic,
            http=None if http is None else _cascade_parts.http_for_core(http),
            files=None if files is None else _cascade_parts.files_for_core(files),
            credentials=(
                None if credentials is None else _cascade_parts.credentials_for_core(credentials)
            ),
            transcripts=(
                None if transcripts is None else _cascade_parts.transcripts_for_core(transcripts)
            ),
        )

    def resolve(self) -> Usage:
        """How much is used, now.

        May wait for the disk, and up to `timeout_ms` for the endpoint or for another process that
        asks it.

        Raises:
            UsageUnavailable: Nothing is known; `fault` says why.
        """
        return usage_of(self._core.resolve())

    async def aresolve(self) -> Usage:
        """The same without blocking the event loop; it may be cancelled.

        Several that wait at the same time share one resolve.

        Raises:
            UsageUnavailable: Nothing is known; `fault` says why.
            ClosedError: The cascade was closed meanwhile.
            Error: 1,024 wait already.
        """
        import asyncio

        loop = asyncio.get_running_loop()
        answer: asyncio.Future[UsageTuple] = loop.create_future()

        def done(found: UsageTuple | None, error: BaseException | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_settle, answer, found, error)

        self._core.resolve_start(done)
        return usage_of(await answer)

    def observe(self, headers: _cascade_parts.Headers) -> bool:
        """Takes the headers of an answer that the account got from the API, of whatever status.

        Those that begin with `anthropic-ratelimit-unified-` are kept, for other processes too. Does
        not wait for the network.

        Args:
            headers: A mapping or pairs, str or bytes: those of httpx, requests, aiohttp, urllib3,
                http.client, WSGI and ASGI will do.

        Returns:
            Whether they say anything of the quota.
        """
        return self._core.observe(_cascade_parts.header_pairs(headers))

    def report(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        utc_offset: timedelta | tzinfo | None = None,
    ) -> dict[str, Any]:
        """Tokens by day, by model and by block, from the transcripts.

        May read much, once. `docs/cascade.md` has the members.

        Args:
            since: From then on; by default from the first entry. It must know its time zone.
            until: Before then; by default to the last entry. Likewise.
            utc_offset: Of the days: a time east of UTC in steps of 15 minutes, or a time zone,
                whose offset at `until` (by default now) holds for all days; by default UTC.

        Raises:
            UsageUnavailable: There are no transcripts, or no entries in them.
            StateError: The transcripts are the host's, or switched off.
        """
        report: dict[str, Any] = json.loads(
            self._core.report(
                _bound(since, "since"),
                _bound(until, "until"),
                _offset_seconds(utc_offset, until),
            )
        )
        return report

    def metrics(self) -> str:
        """The counters of this process in the Prometheus text format."""
        return self._core.metrics().decode()

    # ------------------------------------------------------------------------------- lifetime

    def close(self) -> None:
        """Closes the cascade: waits for the calls inside. Calling it again does nothing.

        A request of `aresolve` that is under way is broken off; who waits gets `ClosedError`.

        Raises:
            BusyError: Called from one of its own callbacks.
        """
        self._core.close()

    def __repr__(self) -> str:
        return f"<satchel.Cascade {'closed' if self.closed else 'open'}>"


def _settle(
    answer: asyncio.Future[UsageTuple], found: UsageTuple | None, error: BaseException | None
) -> None:
    if answer.done():  # whoever awaited it was cancelled
        return
    if error is not None:
        answer.set_exception(error)
    else:
        assert found is not None
        answer.set_result(found)


def _bound(time: datetime | None, name: str) -> int:
    if time is None:
        return 0
    # Nanoseconds reach from 1677 to 2262 only, and their 0 means that there is no bound.
    return max(-_FURTHEST_NS, min(unix_ns_of(time, name), _FURTHEST_NS)) or 1


def _offset_seconds(offset: timedelta | tzinfo | None, until: datetime | None) -> int:
    if isinstance(offset, tzinfo):
        offset = offset.utcoffset((until or datetime.now(timezone.utc)).astimezone(offset))
    if offset is None:
        return 0
    seconds, rest = divmod(offset, timedelta(seconds=1))
    if rest or seconds % 900:
        raise ValueError("utc_offset must be a multiple of 15 minutes")
    return seconds
