"""The prompt cache."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from . import _callbacks, _core
from ._index import Index, index_for_core
from ._opened import Opened
from ._outcome import Outcome
from ._prompt import ForwardedBody, Prompt, forwarded, prompt_of
from ._request import Request, Text

if TYPE_CHECKING:
    from typing_extensions import Buffer

LogLevel = Literal["debug", "info", "warn", "error", "off"]


@dataclass(frozen=True)
class IndexCounts:
    """What the index has done since it was opened, by this process.

    Attributes:
        lookups: Lookups made.
        lookup_failures: Those answered as "no caching".
        hits: Those that found an entry.
        entries_written: New or replaced.
        entries_refreshed: Whose life was extended.
        entries_dropped: Not written: full, damaged, queue full.
        entries_swept: Removed: expired, or over the size bound.
        entries_waiting: Handed over, not yet written.
        lookups_turned_away: Failures for want of a free connection.
        write_retries: Writes tried again.
    """

    lookups: int
    lookup_failures: int
    hits: int
    entries_written: int
    entries_refreshed: int
    entries_dropped: int
    entries_swept: int
    entries_waiting: int
    lookups_turned_away: int
    write_retries: int


class PromptCache(Opened["_core.PromptCache"]):
    """Says which prefix of a prompt was seen before, and writes it into the response's usage.

    Any thread may use it at any time. Close it, best as a context manager: that waits for the calls
    inside and for entries on their way to the index. What is still open when Python exits is closed
    then.

    A callback that refers to its cache keeps it alive until it is closed.

    Args:
        config: The configuration, a mapping or its JSON; `docs/configuration.md` has the keys. The
            default is an index in memory, which is gone with the process. A path of the index is
            shared by processes: `{"index": {"kind": "sqlite", "path": "/var/lib/proxy"}}`. An index
            that cannot be opened is no error: it is logged, and requests go on uncached.
        tokenizer: Who counts tokens; by default the service that the configuration names
            (`{"tokenizer": {"url": "http://..."}}`), else an estimate of four bytes a token.
        principals: Who an API key belongs to; by default a hash of the key.
        models: What holds for a model; by default the configuration's table `models`.
        index: Where the entries are kept; by default what the configuration's `index` says.
        log: Gets one line at a time, `log(level, component, message)`; by default the loggers below
            `satchel` of `logging`.
        log_level: The least level that is logged.
        clock: Unix nanoseconds; by default the system's clock.
        monotonic: Nanoseconds that never go back; by default the system's.

    Raises:
        ConfigError: A key is unknown or its value has the wrong type; the message names it.
    """

    _kind = "prompt cache"
    _shared = "an index with a path is shared"

    def __init__(
        self,
        config: Mapping[str, Any] | str | None = None,
        *,
        tokenizer: _callbacks.Tokenizer | None = None,
        principals: _callbacks.PrincipalResolver | None = None,
        models: _callbacks.ModelResolver | None = None,
        index: Index | None = None,
        log: _callbacks.Log | None = None,
        log_level: LogLevel = "warn",
        clock: _callbacks.Clock | None = None,
        monotonic: _callbacks.Clock | None = None,
    ) -> None:
        for name, value in (
            ("principals", principals),
            ("models", models),
            ("log", log),
            ("clock", clock),
            ("monotonic", monotonic),
        ):
            _callbacks.check_callable(value, name)
        versions, tokenize, render = (
            (None, None, None) if tokenizer is None else _callbacks.tokenizer_for_core(tokenizer)
        )
        self._core = _core.open_prompt_cache(
            _config_json(config),
            host_config=json.dumps({"log_level": log_level}).encode(),
            log=_callbacks.log_to_logging if log is None else log,
            clock=clock,
            monotonic=monotonic,
            principals=None if principals is None else _callbacks.principals_for_core(principals),
            models=None if models is None else _callbacks.models_for_core(models),
            versions=versions,
            tokenize=tokenize,
            index=None if index is None else index_for_core(index),
            render=render,
        )

    def request(
        self,
        *,
        method: Text,
        target: Text,
        authorization: Text | None = None,
        api_key: Text | None = None,
        principal: Text | None = None,
    ) -> Request | None:
        """Begins a request.

        The first of `principal`, `api_key` and `authorization` that is not empty says who asks.

        Args:
            method: `"POST"`.
            target: `"/v1/chat/completions?x=y"`.
            authorization: The header's value, `"Bearer sk-..."`.
            api_key: The key alone, where the proxy has it. It is wiped when the request is closed.
            principal: Who it is, where the proxy knows.

        Returns:
            The request, or None for what is no `POST` to `.../chat/completions`: pass it through.
        """
        core = _core.new_request(self._core, method, target, authorization, api_key, principal)
        return None if core is None else Request(self, core, method, target)

    def parse(self, body: Buffer) -> Prompt:
        """Parses a body.

        Raises:
            MarkerError: A marker is at fault.
            JsonError: It is not JSON.
        """
        return prompt_of(self._core, body)

    def validate(self, body: Buffer) -> None:
        """Checks the markers as a request does before it is forwarded.

        Raises:
            MarkerError: A marker is at fault.
            JsonError: It is not JSON.
        """
        _core.validate(self._core, body)

    def forward(self, body: Buffer) -> ForwardedBody:
        """Makes the body to forward.

        Raises:
            JsonError: It is not JSON.
        """
        return forwarded(self._core, body)

    def classify(
        self,
        body: Buffer,
        *,
        model: Text,
        authorization: Text | None = None,
        api_key: Text | None = None,
        principal: Text | None = None,
    ) -> Outcome:
        """Classifies a body without a response: what a request would have read and created.

        Unlike a request it does not reject bad markers, it degrades. Who asks is said as in
        `request`.
        """
        core = _core.classify(self._core, model, body, authorization, api_key, principal)
        return Outcome(self, core)

    def flush(self, timeout: float = 30.0) -> None:
        """Waits until all entries handed over before this call are in the index.

        Args:
            timeout: Seconds.

        Raises:
            DeadlineError: They are not, after that time.
        """
        self._core.flush(timeout)

    def forget(self) -> None:
        """Drops every entry of the index, for all principals."""
        self._core.forget()

    @property
    def index_counts(self) -> IndexCounts:
        """What the index has done since it was opened."""
        return IndexCounts(*self._core.index_counts())

    @property
    def max_body(self) -> int:
        """The largest request body it takes, in bytes; a longer one is rejected.

        A proxy that stops reading there passes what it has, one byte more than this.
        """
        return self._core.max_body()

    def metrics(self) -> str:
        """The counters and histograms of this process in the Prometheus text format."""
        return self._core.metrics().decode()

    def close(self) -> None:
        """Closes the cache: waits for the calls inside and writes what was handed over.

        Requests still open raise `ClosedError` from then on. Calling it again does nothing.

        Raises:
            BusyError: Called from one of its own callbacks.
        """
        self._core.close()

    def __repr__(self) -> str:
        return f"<satchel.PromptCache {'closed' if self.closed else 'open'} at {id(self):#x}>"


def _config_json(config: Mapping[str, Any] | str | None) -> bytes:
    if config is None:
        return b""
    if isinstance(config, str):
        return config.encode()
    if isinstance(config, Mapping):
        # A pathlib.Path for the index is as good as a text.
        return json.dumps(dict(config), default=os.fspath, allow_nan=False).encode()
    raise TypeError(f"config must be a mapping, str or None, not {type(config).__name__}")
