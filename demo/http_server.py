"""A small HTTP/1.1 server on asyncio: what the scripted upstream needs and no more.

It keeps connections alive, takes bodies with a length or in chunks, answers `Expect:
100-continue`, and lets a handler misbehave on purpose: stop in the middle, or hold the line.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Callable
from urllib.parse import urlsplit

Headers = Iterable["tuple[str, str]"]

MAX_HEAD_BYTES = 256 * 1024


@dataclass(frozen=True)
class Request:
    """A request with its whole body; header names as they came."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return urlsplit(self.target).path

    def header(self, name: str) -> str:
        """The first value of a header, or the empty string."""
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return ""


class Reply:
    """One answer, whole or in chunks."""

    def __init__(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ):
        self._request = request
        self._reader = reader
        self._writer = writer
        self.broken_off = False

    async def whole(
        self, status: int, content_type: str, body: bytes, headers: Headers = ()
    ) -> None:
        """Sends an answer with a Content-Length; for HEAD only its head."""
        length = [("Content-Length", str(len(body)))]
        self._writer.write(_head(status, content_type, [*headers, *length]))
        if self._request.method != "HEAD":
            self._writer.write(body)
        await self._writer.drain()

    async def half(self, status: int, content_type: str, body: bytes) -> None:
        """Announces `body`, sends half of it and hangs up."""
        self._writer.write(_head(status, content_type, [("Content-Length", str(len(body)))]))
        self._writer.write(body[: len(body) // 2])
        await self.break_off()

    async def begin(self, status: int, content_type: str, headers: Headers = ()) -> None:
        """Starts an answer in chunks."""
        chunked = [("Transfer-Encoding", "chunked")]
        self._writer.write(_head(status, content_type, [*headers, *chunked]))
        await self._writer.drain()

    async def chunk(self, data: bytes) -> None:
        """Sends one chunk at once. Raises ConnectionError when nobody listens."""
        if data:
            self._writer.write(b"%x\r\n%s\r\n" % (len(data), data))
            await self._writer.drain()

    async def end(self) -> None:
        """Ends an answer in chunks as it should."""
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    async def break_off(self) -> None:
        """Sends what is buffered and hangs up: no last chunk, no rest of a body."""
        self.broken_off = True
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()
        self._writer.close()

    async def client_gone(self) -> None:
        """Returns when the other side hangs up."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(4096):
                pass


Handler = Callable[[Request, Reply], Awaitable[None]]


async def serve(handler: Handler, host: str, port: int) -> asyncio.Server:
    """Starts listening; port 0 takes a free one."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _serve_connection(handler, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, which is its right, or the server is stopping
        finally:
            writer.close()

    return await asyncio.start_server(connection, host, port, limit=MAX_HEAD_BYTES, backlog=1024)


async def _serve_connection(
    handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while True:
        request = await _read_request(reader, writer)
        if request is None:
            return
        reply = Reply(request, reader, writer)
        await handler(request, reply)
        if reply.broken_off or request.header("connection").lower() == "close":
            return


async def _read_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head[:-4].split("\r\n")
    method, target, _version = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    headers = [(name, value.strip()) for name, _colon, value in pairs]
    request = Request(method, target, headers, b"")
    if request.header("expect").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
    if request.header("transfer-encoding").lower() == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(request.header("content-length") or 0))
    return Request(method, target, headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    while True:
        size = int((await reader.readline()).split(b";")[0], 16)
        if size == 0:
            while (await reader.readline()).strip():
                pass  # trailers
            return b"".join(parts)
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)


def _head(status: int, content_type: str, headers: Headers) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    if content_type:
        lines.append(f"Content-Type: {content_type}")
    lines.extend(f"{name}: {value}" for name, value in headers)
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
