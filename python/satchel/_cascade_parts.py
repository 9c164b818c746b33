"""The parts of a cascade, written in Python.

As in `_callbacks`: each may be called from several threads at once, also from the library's own. An
exception in one is a failure for the library and is reported through `sys.unraisablehook`, unless
it is said otherwise here. `NotImplemented` asks for the built-in.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Callable, Optional, Protocol, Union

from ._errors import UsageFault
from ._usage import Tokens, time_of, unix_ns_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

_ERR_IO = -6
_ERR_TIMEOUT = -12
_FAULTS_OF_CREDENTIALS = range(UsageFault.NO_CREDENTIALS, UsageFault.EMPTY_TOKEN + 1)


class HasItems(Protocol):
    """A mapping of headers, or what looks like one."""

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Pairs of name and value, each str or bytes."""
        ...


#: Headers: a mapping, or pairs of name and value. Those of httpx, requests, aiohttp, urllib3,
#: http.client, WSGI and ASGI are such.
Headers = Union[HasItems, Iterable[tuple[str, str]], Iterable[tuple[bytes, bytes]]]

#: The bearer token. None: there is none; a `UsageFault` from NO_CREDENTIALS to EMPTY_TOKEN says
#: more. What it raises counts as SUBPROCESS_FAILED.
Credentials = Callable[[], Union[str, bytes, UsageFault, None]]


class UsageFiles(Protocol):
    """Where a cascade keeps its three files, instead of a directory.

    Names are `"usage.json"`, `"usage.lock"` and `"satchel-observed.json"`.
    """

    def read(self, name: str) -> tuple[Buffer, int] | None:
        """Returns the bytes and when they were written, Unix nanoseconds; None without a file."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Replaces the whole file at once."""
        ...

    def remove(self, name: str) -> None:
        """Removes the file, if it is there."""
        ...


@dataclass(frozen=True)
class TranscriptBlock:
    """Five hours of work.

    Attributes:
        start: When it began; the library shows the full hour before.
        tokens: What was used since.
    """

    start: datetime
    tokens: Tokens


@dataclass(frozen=True)
class TranscriptWindows:
    """What was used, as somebody counted it.

    Attributes:
        seven_day: Tokens of the last seven days.
        five_hour: The block that is active, if one is.
    """

    seven_day: Tokens
    five_hour: TranscriptBlock | None = None


#: What was used up to the time given; None: there are no entries.
Transcripts = Callable[[datetime], Optional[TranscriptWindows]]


@dataclass(frozen=True)
class HttpRequest:
    """What the library asks another machine.

    Attributes:
        method: `"GET"`.
        url: Where.
        headers: Pairs of name and value. Values may be secrets, and are no part of the repr.
        body: Bytes to send.
        max_body: Bytes of the answer's body that are taken, decoded.
        timeout: Seconds for everything, from now on.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    max_body: int
    timeout: float


@dataclass(frozen=True)
class HttpAnswer:
    """What came back.

    Attributes:
        status: Of any kind: 401 and 500 are answers, too.
        body: Its body, decoded (no gzip).
        headers: Its headers.
    """

    status: int
    body: Buffer = field(default=b"", repr=False)
    headers: Headers = ()


#: Sends a request and follows no redirect. No answer in time: raise `TimeoutError`; none at all:
#: raise another `OSError`. Neither is reported.
Http = Callable[[HttpRequest], HttpAnswer]


def header_pairs(headers: Any) -> Any:
    """The headers as pairs; each of several of one name, where the object tells them apart."""
    for method in ("multi_items", "items"):  # httpx joins several of one name in its items()
        pairs = getattr(headers, method, None)
        if callable(pairs):
            return pairs()
    return headers


def http_for_core(http: Http) -> Callable[..., Any]:
    """Gives what `_core` hands over its shape, and turns failures into statuses."""

    @functools.wraps(http, updated=())
    def send(
        method: str,
        url: str,
        headers: list[tuple[str, str]],
        body: bytes,
        max_body: int,
        timeout: float,
    ) -> Any:
        try:
            answer = http(HttpRequest(method, url, tuple(headers), body, max_body, timeout))
        except TimeoutError:
            return _ERR_TIMEOUT
        except OSError:
            return _ERR_IO
        if answer is NotImplemented:
            return answer
        if not isinstance(answer, HttpAnswer):
            raise TypeError(f"http must return HttpAnswer, not {type(answer).__name__}")
        return operator.index(answer.status), header_pairs(answer.headers), answer.body

    return send


def files_for_core(files: UsageFiles) -> tuple[Callable[..., Any], ...]:
    """Checks what the object has."""
    for name in ("read", "write", "remove"):
        if not callable(getattr(files, name, None)):
            raise TypeError(f"files must have a method {name!r}")

    @functools.wraps(files.read, updated=())
    def read(name: str) -> Any:
        found = files.read(name)
        if found is None:
            return None
        data, written_at = found
        return data, operator.index(written_at)

    return read, files.write, files.remove


def credentials_for_core(credentials: Credentials) -> Callable[[], Any]:
    """Checks what `credentials` returns."""

    @functools.wraps(credentials, updated=())
    def token() -> Any:
        had = credentials()
        if had is None or had is NotImplemented:
            return had
        if isinstance(had, UsageFault):
            if had not in _FAULTS_OF_CREDENTIALS:
                raise ValueError(f"{had!r} is no failure of credentials")
            return int(had)
        if isinstance(had, (str, bytes)):
            return _sendable(had)
        raise TypeError(
            f"credentials must return str, bytes, UsageFault or None, not {type(had).__name__}"
        )

    return token


def _sendable(token: str | bytes) -> str | bytes:
    # Said here, without the token: an error of the encoding itself would carry it along.
    if isinstance(token, str) and not token.isascii():
        raise ValueError("the token has characters beyond ASCII")
    return token


def transcripts_for_core(transcripts: Transcripts) -> Callable[[int], Any]:
    """Turns what `transcripts` returns into numbers."""

    @functools.wraps(transcripts, updated=())
    def windows(now_ns: int) -> Any:
        now = time_of(now_ns)
        assert now is not None
        counted = transcripts(now)
        if counted is None or counted is NotImplemented:
            return counted
        if not isinstance(counted, TranscriptWindows):
            raise TypeError(
                f"transcripts must return TranscriptWindows or None, not {type(counted).__name__}"
            )
        block = counted.five_hour
        five_hour = (
            None if block is None else (unix_ns_of(block.start, "start"), _four(block.tokens))
        )
        return five_hour, _four(counted.seven_day)

    return windows


def _four(tokens: Tokens) -> tuple[int, int, int, int]:
    return tokens.input, tokens.output, tokens.cache_creation, tokens.cache_read
