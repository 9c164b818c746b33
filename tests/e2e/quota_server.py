"""What stands in for the quota's endpoint: an HTTPS server on 127.0.0.1 with a certificate of an
authority that was made for it, and answers that a test scripts.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

SECONDS = 60.0


class Authority:
    """Signs certificates for this machine; `ca_file` is what has to be trusted for them."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.ca_file = directory / "ca.pem"
        self._key = directory / "ca.key"
        extensions = ["-addext", "keyUsage=critical,keyCertSign"]
        self._request("ca", "a test's authority", "-x509", "-days", "2", *extensions)

    def certificate(
        self, name: str, names: str = "IP:127.0.0.1,DNS:localhost"
    ) -> tuple[Path, Path]:
        """A certificate and its key."""
        self._request(name, "a test's server")
        extensions = self._directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n")
        pem = self._directory / f"{name}.pem"
        signer = ["-CA", str(self.ca_file), "-CAkey", str(self._key), "-CAcreateserial"]
        extra = ["-days", "2", "-extfile", str(extensions), "-out", str(pem)]
        _openssl("x509", "-req", "-in", str(self._directory / f"{name}.csr"), *signer, *extra)
        return pem, self._directory / f"{name}.key"

    def _request(self, name: str, subject: str, *more: str) -> None:
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        key += ["-keyout", str(self._directory / f"{name}.key")]
        out = self._directory / (f"{name}.pem" if "-x509" in more else f"{name}.csr")
        _openssl("req", *key, *more, "-subj", f"/CN={subject}", "-out", str(out))


def _openssl(*arguments: str) -> None:
    done = subprocess.run(
        ["openssl", *arguments], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    peer: tuple[str, int]


@dataclass(frozen=True)
class Answer:
    """`said`: what is sent, if it is not the usual form. `then_wait`: the connection stays open, so
    that whoever asked waits for more."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    said: bytes | None = None
    then_wait: bool = False

    def bytes(self) -> bytes:
        if self.said is not None:
            return self.said
        headers = {"Content-Length": str(len(self.body)), "Connection": "close", **self.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self.status} Said\r\n{lines}\r\n".encode("latin-1") + self.body


Script = Callable[[Asked], Answer]
NOTHING = Answer(said=b"", then_wait=True)
HANGS_UP = Answer(said=b"")


class QuotaServer:
    """Listens from the beginning to close(); `script` may be exchanged at any time."""

    def __init__(self, certificate: tuple[Path, Path] | None, script: Script | None = None) -> None:
        self.script: Script = script or (lambda _: Answer())
        self.requests: list[Asked] = []
        self._lock = threading.Lock()
        self._context = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*map(str, certificate))
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self.url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def __enter__(self) -> QuotaServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, peer = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection, peer), daemon=True).start()

    def _serve(self, plain: socket.socket, peer: tuple[str, int]) -> None:
        plain.settimeout(SECONDS)
        with contextlib.suppress(OSError), plain:
            if self._context is None:
                self._answer(plain, peer)
                return
            with self._context.wrap_socket(plain, server_side=True) as connection:
                self._answer(connection, peer)

    def _answer(self, connection: socket.socket, peer: tuple[str, int]) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            more = connection.recv(65_536)
            if not more:
                return
            head += more
        first, *lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        pairs = (line.partition(":") for line in lines)
        asked = Asked(method, target, {name.lower(): v.strip() for name, _, v in pairs}, peer)
        with self._lock:
            self.requests.append(asked)
        answer = self.script(asked)
        connection.sendall(answer.bytes())
        if answer.then_wait:
            connection.recv(1)  # until the other side has had enough


@contextlib.contextmanager
def serving(authority: Authority, script: Script | None = None) -> Iterator[QuotaServer]:
    """With a certificate that is right."""
    pem, key = authority.certificate("server")
    with QuotaServer((pem, key), script) as server:
        yield server
