"""An endpoint on 127.0.0.1 that answers what it is told, down to the bytes."""

from __future__ import annotations

import gzip
import socket
import threading
from dataclasses import dataclass, field


@dataclass
class Answer:
    """`said`: the bytes that are sent, if they are not the usual ones. `held`: until it is told to,
    nothing is sent but what `said` is."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    said: bytes | None = None
    held: bool = False

    def bytes(self) -> bytes:
        if self.said is not None:
            return self.said
        headers = {"Content-Length": str(len(self.body)), "Connection": "close", **self.headers}
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        return f"HTTP/1.1 {self.status} Said\r\n{''.join(lines)}\r\n".encode() + self.body


def gzipped(body: bytes) -> Answer:
    return Answer(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})


def chunked(body: bytes, *, ends: bool = True) -> Answer:
    chunks = b"".join(b"%x\r\n%c\r\n" % (1, byte) for byte in body)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    return Answer(said=head + chunks + (b"0\r\n\r\n" if ends else b""))


class UsageServer:
    """One answer to everybody, on a connection each."""

    def __init__(self) -> None:
        self.answer = Answer()
        self.requests: list[bytes] = []
        self._done = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._done.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(30)
            head = b""
            try:
                while b"\r\n\r\n" not in head:
                    more = connection.recv(65_536)
                    if not more:
                        return
                    head += more
                self.requests.append(head)
                connection.sendall(self.answer.bytes())
                if self.answer.held:
                    # Until the other side has had enough.
                    connection.recv(1)
            except OSError:
                return
