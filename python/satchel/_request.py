"""A request on its way through a proxy, from its first byte to its commit."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NoReturn, Union

from . import _core
from ._errors import ClosedError, closed_error

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import TracebackType

    from typing_extensions import Buffer

    from ._prompt_cache import PromptCache

#: A header's value or a target. What a str cannot hold as UTF-8 travels as surrogates
#: (`errors="surrogateescape"`).
Text = Union[str, bytes]


class ResponsePlan(IntEnum):
    """What to do with the length of a response."""

    AS_IS = 0
    """Length and body stay as they are."""
    STREAM = 1
    """Drop `Content-Length`; bytes come as they come."""
    HELD = 2
    """Drop `Content-Length`, or send the head after `end` with the length it gives."""


class Commit(IntEnum):
    """What became of the entries that a request would write."""

    OPEN = 0
    """Not decided yet."""
    NOTHING = 1
    """There was nothing to write."""
    HANDED_OVER = 2
    """They are on their way to the index."""
    VETO_NON_2XX = 3
    VETO_NO_USAGE = 4
    VETO_ERROR_FRAME = 5
    VETO_ABORTED = 6
    DROPPED = 7
    """The index took nothing: see the log."""


@dataclass(frozen=True)
class Forward:
    """What to send upstream.

    Attributes:
        body: The body; the very object that was given if nothing in it changed and it was bytes.
        target: The target, without the parameter that is the library's.
        body_changed: Whether the length of the body is another now.
        target_changed: Whether the target is another now.
    """

    body: bytes
    target: str
    body_changed: bool
    target_changed: bool

    def __repr__(self) -> str:
        return (
            f"Forward(body=<{len(self.body)} bytes>, target={self.target!r}, "
            f"body_changed={self.body_changed}, target_changed={self.target_changed})"
        )


@dataclass(frozen=True)
class RequestResult:
    """What became of a request. Token counts are those written into the usage.

    Attributes:
        classified: Classification has ended, and its answer was asked for.
        active: The principal is known and the model enabled.
        degraded: Zero because something failed, not because of the prompt.
        had_markers: The client asked for caching.
        saw_usage: A usage object went by.
        saw_error: An error frame went by in the stream.
        commit: What became of the entries.
        read: Tokens read from the cache.
        creation_5m: Tokens of new entries that live 5 minutes.
        creation_1h: Tokens of new entries that live an hour.
        creation_24h: Tokens of new entries that live a day.
        prompt_tokens: The upstream's count, 0 while unknown.
        upstream_cached_tokens: The upstream's own, before it was rewritten.
        library_ns: Nanoseconds spent in calls on this request.
    """

    classified: bool
    active: bool
    degraded: bool
    had_markers: bool
    saw_usage: bool
    saw_error: bool
    commit: Commit
    read: int
    creation_5m: int
    creation_1h: int
    creation_24h: int
    prompt_tokens: int
    upstream_cached_tokens: int
    library_ns: int

    @property
    def creation(self) -> int:
        """Tokens of all new entries."""
        return self.creation_5m + self.creation_1h + self.creation_24h


class Request:
    """A request, made by `PromptCache.request`. Source: `satchel_request` in `satchel.h`.

    The calls follow the order in which a proxy has the data: `body`, `classify` (optional, while
    the upstream works), `response`, `write` once a chunk, then `end` or `abort`. Any of them may be
    the last. As a context manager it closes itself, which aborts one that has not ended by then.

    In an event loop, where nothing may wait: `no_wait` behind `body`, and

        out = request.write(chunk)
        while request.pending:  # the frame with the usage came before its counts
            send(out)
            await request.classify_async()
            out = request.write(b"")

    One thread at a time; threads may take turns. A second one gets `BusyError`.
    """

    __slots__ = (
        "__weakref__",
        "_cache",
        "_classification",
        "_classified_in",
        "_core",
        "_ended",
        "_method",
        "_result",
        "_target",
    )

    def __init__(self, cache: PromptCache, core: _core.Request, method: Text, target: Text) -> None:
        self._cache = cache  # a cache that nobody else keeps lives as long as its requests
        self._core = core
        self._method = method
        self._target = target
        self._ended = False
        self._result: RequestResult | None = None
        self._classification: Future[None] | None = None
        self._classified_in = 0  # the process whose threads settle that future

    def body(self, data: Buffer) -> Forward | None:
        """Takes the whole body and says what to send upstream.

        Ask the upstream for an uncompressed answer (drop `Accept-Encoding`): a compressed one
        passes, but its usage cannot be edited and nothing is committed.

        Args:
            data: The body, not to be changed while the call runs.

        Returns:
            What to send, or None for a body that is not JSON: then send everything as it is; no
            further call is needed.

        Raises:
            Rejected: The client made a mistake; the exception has the answer for it.
            StateError: Called twice.
        """
        forward = self._core.body(data)
        return None if forward is None else Forward(*forward)

    def classify(self) -> None:
        """Looks up now what was seen before: principal, model, index, tokenizer.

        Meant for the time in which the upstream works; it may wait up to 5 seconds for callbacks,
        so that an event loop gives it to a thread and awaits it before the first `write`. Without
        it the library does it at the frame that carries the usage. A failure leaves the request
        uncached and is no error here; calling it again does nothing.

        Raises:
            StateError: Before `body`.
        """
        self._core.classify()

    def classify_start(self) -> None:
        """Does what `classify` does on a thread of the library, and returns at once.

        The callbacks of the cache run there then, on several threads at the same time. Whoever
        needs the answer waits for it, until the deadline at most (see `no_wait`); with none by then
        the request is uncached. Closing or aborting the request does not wait for a callback.

        Raises:
            StateError: Before `body`, or called twice.
        """
        from concurrent.futures import Future

        ended: Future[None] = Future()
        ended.set_running_or_notify_cancel()  # whoever waits may be cancelled, this may not

        def done(_: int) -> None:
            ended.set_result(None)

        self._core.classify_start(done)
        self._classification = ended
        self._classified_in = os.getpid()

    async def classify_async(self) -> None:
        """Waits, without blocking the event loop, until classification has ended.

        Starts it where that was not done yet. It may be awaited several times, and cancelled.

        Raises:
            StateError: Before `body`.
        """
        import asyncio

        if self._classification is None or self._classified_in != os.getpid():
            self.classify_start()  # in the child of a fork ClosedError; nobody would wake it
        assert self._classification is not None
        await asyncio.wrap_future(self._classification)

    def fileno(self) -> int:
        """A descriptor that is readable once what was started has ended, for other event loops.

        It belongs to the request: take it out of the loop before `close`.

        Raises:
            StateError: Nothing was started.
        """
        return self._core.descriptor()

    def no_wait(self) -> None:
        """From now on no call waits for classification, which this starts if nothing did before.

        Where its answer is needed and not there, `write` and `end` give what precedes the final
        usage, keep the rest, and set `pending`.

        Raises:
            StateError: Before `body`.
        """
        if self._classification is None:
            self.classify_start()
        self._core.no_wait()

    @property
    def pending(self) -> bool:
        """The last `write` or `end` kept something back.

        Once classification has ended, `write(b"")` gives the rest, and `end`, called again, ends.
        """
        return self._core.pending

    def response(
        self,
        status: int,
        *,
        content_type: Text | None = None,
        content_encoding: Text | None = None,
    ) -> ResponsePlan:
        """Takes the head of the upstream's response.

        Args:
            status: The HTTP status.
            content_type: The header's value; none counts as JSON.
            content_encoding: The header's value.

        Returns:
            What to do with the length of the response.
        """
        return ResponsePlan(self._core.response(status, content_type, content_encoding))

    def write(self, data: Buffer) -> bytes:
        """Takes bytes of the response, cut anywhere.

        Returns:
            The bytes for the client, possibly none yet.

        Raises:
            StreamError: An event longer than `max_event_bytes` never ended. Break the client's
                connection, never end it cleanly.
        """
        return self._core.write(data)

    def end(self) -> bytes:
        """The response ended as it should: hands the entries over for writing.

        Returns:
            The last bytes for the client. With `pending` set it has not ended yet: call it again.
        """
        last = self._core.end()
        self._ended = not self._core.pending
        return last

    def abort(self) -> None:
        """The client left or the upstream broke: nothing is committed.

        Unless the stream's `[DONE]` went by before, behind which nothing comes: then it ended as it
        should. Some clients close right there.
        """
        self._core.abort()

    @property
    def result(self) -> RequestResult:
        """The counts, at any time, also after `close`."""
        return self._result if self._result is not None else self._fetch_result()

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._core.closed

    def close(self) -> None:
        """Frees the request, aborts it if it had not ended. Calling it again does nothing.

        Raises:
            BusyError: Another thread is inside, or this is one of its callbacks.
        """
        if self._core.closed:
            return
        try:
            if not self._ended:
                self._core.abort()
            self._result = self._fetch_result()
        except ClosedError:
            pass  # the cache is closed, and the counts are gone with it
        self._core.close()

    def _fetch_result(self) -> RequestResult:
        values = self._core.result()
        return RequestResult(*values[:6], Commit(values[6]), *values[7:])

    def __enter__(self) -> Request:
        if self.closed:
            raise closed_error("request")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "ended" if self._ended else "open"
        return f"<satchel.Request {_shown(self._method)} {_shown(self._target)}, {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a satchel.Request cannot be pickled or copied: it lives in this process")


def _shown(text: Text) -> str:
    return text if isinstance(text, str) else text.decode("utf-8", "backslashreplace")
