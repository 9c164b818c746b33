"""HTTP as bytes on a socket: for what a well-behaved client library does not show."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from dataclasses import dataclass
from typing import Any

SECONDS = 60.0
LINGER_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Response:
    """A response as it came. `complete`: it ended as HTTP says it should."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    complete: bool

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name]
        return values[0] if values else None

    def json(self) -> Any:
        return json.loads(self.body)


def request(
    method: str, target: str, body: bytes = b"", headers: list[tuple[str, str]] | None = None
) -> bytes:
    """The bytes of a request; a body gets its length."""
    fields = [("Host", "127.0.0.1"), *(headers or [])]
    if body:
        fields.append(("Content-Length", str(len(body))))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chat_request(
    body: Any, script: str = "", key: str = "sk-test", target: str = "/v1/chat/completions"
) -> bytes:
    headers = [("Content-Type", "application/json"), ("Authorization", f"Bearer {key}")]
    if script:
        headers.append(("x-upstream-script", script))
    return request("POST", target, json.dumps(body).encode(), headers)


class Connection:
    """One connection, one request at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        self._buffer = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def reset(self) -> None:
        """Goes away at once, as a killed client does."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        self._socket.close()

    def read_until(self, wanted: bytes) -> bytes:
        """Everything up to and including `wanted`. Raises EOFError when it does not come."""
        while wanted not in self._buffer:
            self._fill()
        end = self._buffer.index(wanted) + len(wanted)
        found, self._buffer = self._buffer[:end], self._buffer[end:]
        return found

    def response(self, *, to_head: bool = False) -> Response:
        """Reads one response to its end, or to where the connection broke."""
        status, headers = self._head()
        while status == 100:
            status, headers = self._head()
        fields = {name.lower(): value for name, value in headers}
        parts: list[bytes] = []
        complete = False
        with contextlib.suppress(EOFError):
            if to_head or status in (204, 304):
                pass
            elif fields.get("transfer-encoding") == "chunked":
                self._read_chunks(parts)
            elif "content-length" in fields:
                self._read_exactly(int(fields["content-length"]), parts)
            else:
                raise AssertionError(f"a response without length or chunks: {headers}")
            complete = True
        return Response(status, headers, b"".join(parts), complete)

    def _head(self) -> tuple[int, list[tuple[str, str]]]:
        first, *lines = self.read_until(b"\r\n\r\n")[:-4].decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return int(first.split(" ")[1]), [(name, value.strip()) for name, _, value in pairs]

    def _read_chunks(self, parts: list[bytes]) -> None:
        while True:
            size = int(self.read_until(b"\r\n"), 16)
            self._read_exactly(size, parts)
            assert self.read_until(b"\r\n") == b"\r\n"
            if size == 0:
                return

    def _read_exactly(self, size: int, parts: list[bytes]) -> None:
        while size > 0:
            if not self._buffer:
                self._fill()
            piece, self._buffer = self._buffer[:size], self._buffer[size:]
            parts.append(piece)
            size -= len(piece)

    def _fill(self) -> None:
        try:
            data = self._socket.recv(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            raise EOFError("the connection ended")
        self._buffer += data


def exchange(port: int, raw: bytes) -> Response:
    """One request on a connection of its own."""
    with Connection(port) as connection:
        connection.send(raw)
        return connection.response(to_head=raw.startswith(b"HEAD "))


def usages(stream: bytes) -> list[Any]:
    """The usage objects of a stream, in order."""
    found = [event.get("usage") for event in events(stream)]
    return [usage for usage in found if usage is not None]


def events(stream: bytes) -> list[Any]:
    """The JSON events of a stream."""
    lines = stream.replace(b"\r\n", b"\n").split(b"\n")
    data = [line[len(b"data: ") :] for line in lines if line.startswith(b"data: {")]
    return [json.loads(item) for item in data]


def events_without_usage(stream: bytes) -> list[bytes]:
    """The raw events of a stream but for those whose usage is an object."""
    raw = stream.replace(b"\r\n", b"\n").split(b"\n\n")
    return [event for event in raw if b'"usage": {' not in event and b'"usage":{' not in event]
