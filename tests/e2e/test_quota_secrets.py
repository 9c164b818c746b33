"""The token is seen by the endpoint, and by nobody else: not in what is printed, logged, raised or
written, not in what the system shows of a process, and not in its memory once the answer is there.

The only source of the token is the credentials file.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
from hosts import eventually
from quota_processes import Asking, CommandLine, Places, elsewhere, options_of
from quota_server import HANGS_UP, NOTHING, Answer, Asked, Authority, QuotaServer, serving

Json = Any
PATIENT = {"timeout_ms": 60_000}
IMPATIENT = {"timeout_ms": 700}


def echoing(status: int, **headers: str) -> Callable[[Asked], Answer]:
    """As servers do that show what was wrong with a request."""

    def script(asked: Asked) -> Answer:
        said = asked.headers["authorization"]
        body = json.dumps({"error": {"message": f"invalid: {said}"}}).encode()
        return Answer(status, body, {"X-Debug": said, "WWW-Authenticate": said, **headers})

    return script


def echoing_garbage(asked: Asked) -> Answer:
    return Answer(200, f"<html>{asked.headers['authorization']}".encode())


def echoing_wrong_type(asked: Asked) -> Answer:
    limits = [{"kind": asked.headers["authorization"], "percent": "much"}]
    body = {"limits": limits, "five_hour": {"utilization": asked.headers["authorization"]}}
    return Answer(200, json.dumps(body).encode())


def echoing_without_end(asked: Asked) -> Answer:
    return Answer(200, f'{{"x": "{asked.headers["authorization"]}'.encode() * 2000)


def echoing_and_cut_off(asked: Asked) -> Answer:
    head = "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\nConnection: close\r\n\r\n"
    return Answer(said=f"{head}{asked.headers['authorization']}".encode())


def echoing_no_http(asked: Asked) -> Answer:
    return Answer(said=f"{asked.headers['authorization']}\r\n\r\n".encode())


def echoing_no_gzip(asked: Asked) -> Answer:
    body = asked.headers["authorization"].encode()
    return Answer(200, body, {"Content-Encoding": "gzip"})


def echoing_gzip(asked: Asked) -> Answer:
    body = gzip.compress(asked.headers["authorization"].encode())
    return Answer(500, body, {"Content-Encoding": "gzip"})


def redirecting(asked: Asked) -> Answer:
    target = f"https://127.0.0.1:1/{asked.headers['authorization'].removeprefix('Bearer ')}"
    return Answer(302, b"", {"Location": target})


FAILURES: dict[str, tuple[Callable[[Asked], Answer], str]] = {
    "401": (echoing(401), "Unauthorized"),
    "403": (echoing(403), "Forbidden"),
    "404": (echoing(404), "NetworkError"),
    "429": (echoing(429, **{"Retry-After": "100"}), "RateLimited"),
    "500": (echoing(500), "NetworkError"),
    "no JSON": (echoing_garbage, "ParseError"),
    "wrong types": (echoing_wrong_type, "ParseError"),
    "too long": (echoing_without_end, "NetworkError"),
    "cut off": (echoing_and_cut_off, "NetworkError"),
    "no HTTP": (echoing_no_http, "NetworkError"),
    "no gzip": (echoing_no_gzip, "NetworkError"),
    "gzip": (echoing_gzip, "NetworkError"),
    "redirect": (redirecting, "NetworkError"),
    "nothing": (lambda _: NOTHING, "Timeout"),
    "hangs up": (lambda _: HANGS_UP, "NetworkError"),
}


class Token:
    """One that nothing in a process resembles by chance."""

    def __init__(self) -> None:
        self.text = f"sk-ant-oat01-{secrets.token_urlsafe(64)}"
        raw = self.text.encode()
        # Pieces too: freed memory is often overwritten at its beginning, and text is moved in
        # blocks.
        self._pieces = [raw[at : at + 14] for at in range(14, len(raw) - 14, 7)]
        for form in (base64.b64encode(raw), base64.b64encode(b"Bearer " + raw), raw.hex().encode()):
            self._pieces.append(form[24:48])

    def found_in(self, data: bytes) -> list[bytes]:
        return [piece for piece in self._pieces if piece in data]

    def assert_not_in(self, data: bytes | str, what: object) -> None:
        raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        assert self.found_in(raw) == [], f"the token is in {what}"

    def assert_not_below(self, directory: Path, but: Path) -> None:
        """In no file's name or contents."""
        for path in directory.rglob("*"):
            self.assert_not_in(str(path), "the name of a file")
            if path.is_file() and path != but:
                self.assert_not_in(path.read_bytes(), path)

    def assert_not_shown_of(self, pid: int) -> None:
        """In what the system tells everybody, or the user's other processes."""
        for name in ("cmdline", "environ", "comm"):
            # Nothing of a process that has ended already.
            self.assert_not_in(Path(f"/proc/{pid}/{name}").read_bytes(), f"its {name}")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def server(authority: Authority) -> Iterator[QuotaServer]:
    with serving(authority) as server:
        yield server


@pytest.fixture
def asking() -> Iterator[Asking]:
    with Asking() as asking:
        yield asking


@pytest.fixture
def token() -> Token:
    return Token()


@pytest.fixture
def places(tmp_path: Path, token: Token) -> Places:
    return Places(tmp_path / "account", token.text)


def config_for(name: str, server: QuotaServer, authority: Authority) -> dict[str, Json]:
    timeout = IMPATIENT if name == "nothing" else PATIENT
    return {**timeout, **elsewhere(server, authority)}


@pytest.mark.parametrize("name", FAILURES)
def test_a_program(
    name: str,
    authority: Authority,
    server: QuotaServer,
    asking: Asking,
    places: Places,
    token: Token,
) -> None:
    """With everything that can be logged, raised and shown on standard error."""
    server.script, expected = FAILURES[name]
    asker = asking.ready(places, config_for(name, server, authority), debug=True)
    told = asker.ask()
    assert told == {"source": None, "error": expected}
    again = asker.ask()  # from what was written
    token.assert_not_shown_of(asker.process.pid)
    said = asker.end()
    if expected != "ParseError":  # of which nothing is logged
        assert "log " in said
    assert "UsageUnavailable" in said
    token.assert_not_in(json.dumps([told, again]), "the answers")
    token.assert_not_in(said, "standard error")
    token.assert_not_below(places.path, places.credentials)
    if name != "nothing":
        assert server.requests[0].headers["authorization"] == f"Bearer {token.text}"


def test_a_program_that_does_not_trust_the_server(
    server: QuotaServer, asking: Asking, places: Places, token: Token
) -> None:
    asker = asking.ready(places, {**PATIENT, **elsewhere(server, None)}, debug=True)
    assert asker.ask()["error"] == "NetworkError"
    said = asker.end()
    assert "certificate" in said
    token.assert_not_in(said, "standard error")
    token.assert_not_below(places.path, places.credentials)
    assert server.requests == []


@pytest.mark.parametrize(
    "contents",
    [
        '{"claudeAiOauth": {"accessToken": "%s", "scopes": 7}}',
        '{"claudeAiOauth": {"accessToken": ["%s"]}}',
        '{"claudeAiOauth": {"accessToken": "%s"',
        '{"claudeAiOauth": {"accessToken": "%s"}} x',
        '{"claudeAiOauth": {"accessTokens": "%s"}}',
        '{"%s": {}}',
        '"%s"',
        "%s",
        '{"claudeAiOauth": {"accessToken": "%s\\n"}}',
        '{"claudeAiOauth": {"accessToken": "%s\\r\\nX-Injected: yes"}}',
        '{"claudeAiOauth": {"accessToken": "%s\\u0000"}}',
        '{"claudeAiOauth": {"accessToken": "%sä"}}',
    ],
)
def test_credentials_that_are_wrong(
    contents: str,
    authority: Authority,
    server: QuotaServer,
    asking: Asking,
    places: Places,
    token: Token,
) -> None:
    server.script = echoing(401)
    places.credentials.write_text(contents % token.text)
    asker = asking.ready(places, config_for("401", server, authority), debug=True)
    told = asker.ask()
    assert told["source"] is None
    said = asker.end()
    token.assert_not_in(json.dumps(told), "the answer")
    token.assert_not_in(said, "standard error")
    token.assert_not_below(places.path, places.credentials)
    assert all("x-injected" not in asked.headers for asked in server.requests)


@pytest.mark.parametrize("form", ["drawn", "--json", "--line", "--report", "--watch"])
@pytest.mark.parametrize("name", ["401", "500", "no JSON", "nothing", "no HTTP"])
def test_the_command_line(
    name: str,
    form: str,
    authority: Authority,
    server: QuotaServer,
    places: Places,
    token: Token,
    tmp_path: Path,
) -> None:
    """Its arguments and environment while it asks, its output, its files."""
    script, expected = FAILURES[name]
    asked = threading.Event()
    looked = threading.Event()

    def answer_later(request: Asked) -> Answer:
        asked.set()
        looked.wait(60)
        return script(request)

    server.script = answer_later
    arguments = [*options_of(places), "--timeout", "1" if name == "nothing" else "60"]
    arguments += {"drawn": [], "--watch": ["--watch", "60"]}.get(form, [form])
    process = CommandLine(tmp_path, elsewhere(server, authority)).start(*arguments)
    try:
        if form != "--report":
            eventually(lambda: asked.is_set() or process.poll() is not None, "it asks, or gives up")
        if process.poll() is None:
            token.assert_not_shown_of(process.pid)
        looked.set()
        if form == "--watch":
            assert process.stdout is not None
            first = process.stdout.readline()
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        looked.set()
        process.kill()
        process.wait()
    if form == "--watch":
        out = first + out
        assert process.returncode == 0
    elif form != "--report":
        assert process.returncode == 1, err
    assert out or err
    token.assert_not_in(out, "its output")
    token.assert_not_in(err, "standard error")
    token.assert_not_below(places.path, places.credentials)
    if form != "--report":
        assert places.file("usage.lock")["error"] == expected


def test_a_proxy_that_may_not_look_inside_is_told_nothing(
    authority: Authority, places: Places, token: Token, tmp_path: Path
) -> None:
    """The command line as it is, which asks the real endpoint: all a proxy hears is its name, and
    to whom answers in its place it says nothing."""
    heard: list[bytes] = []
    with serving(authority) as pretender, socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def pump(source: socket.socket, target: socket.socket, keep: bool) -> None:
            try:
                while data := source.recv(65_536):
                    if keep:
                        heard.append(data)
                    target.sendall(data)
            except OSError:
                pass
            finally:
                target.close()

        def proxy() -> None:
            connection, _ = listener.accept()
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65_536)
            heard.append(head)
            connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            target = socket.create_connection(("127.0.0.1", pretender.port))
            back = threading.Thread(target=pump, args=(target, connection, False), daemon=True)
            back.start()
            pump(connection, target, True)
            back.join()

        threading.Thread(target=proxy, daemon=True).start()
        command_line = CommandLine(tmp_path, {})
        done = command_line.run(
            *(*options_of(places), "--json", "--timeout", "60"),
            HTTPS_PROXY=f"http://127.0.0.1:{port}",
        )
        assert done.returncode == 1
        assert places.file("usage.lock")["error"] == "NetworkError"
        assert heard[0].startswith(b"CONNECT api.anthropic.com:443 HTTP/1.1\r\n")
        assert b"authorization" not in heard[0].lower()
        assert b"anthropic-beta" not in heard[0].lower()
        token.assert_not_in(b"".join(heard), "what the proxy heard")
        token.assert_not_in(done.stdout + done.stderr, "its output")
        assert pretender.requests == []


# ---------------------------------------------------------------------------------- its memory


def memory_of(pid: int) -> Iterator[tuple[str, bytes]]:
    """What a core image would hold: every mapping that can be read."""
    form = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \S+ *(.*)$")
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            mapping = form.match(line)
            if mapping is None or mapping[3] in ("[vvar]", "[vsyscall]", "[vvar_vclock]"):
                continue
            start, end = int(mapping[1], 16), int(mapping[2], 16)
            data = bytearray()
            while start + len(data) < end:
                try:
                    memory.seek(start + len(data))
                    more = memory.read(min(1 << 24, end - start - len(data)))
                except OSError:
                    break
                if not more:
                    break
                data += more
            yield mapping[3] or "anonymous memory", bytes(data)


def assert_memory_is_clean(pid: int, token: Token) -> None:
    seen = 0
    dirty: list[str] = []
    for name, data in memory_of(pid):
        seen += len(data)
        dirty += [f"{name}: {data[max(0, at - 16) : at + 30]!r}" for at in places_in(data, token)]
    assert dirty == []
    assert seen > 5_000_000  # it did read


def places_in(data: bytes, token: Token) -> list[int]:
    return [data.index(piece) for piece in token.found_in(data)]


@pytest.fixture
def readable_memory() -> None:
    try:
        with open(f"/proc/{os.getppid()}/mem", "rb"):
            pass
    except PermissionError:
        pytest.skip("the memory of other processes may not be read here")


@pytest.mark.usefixtures("readable_memory")
@pytest.mark.parametrize("name", ["200", *FAILURES])
def test_the_memory_of_a_program(
    name: str,
    authority: Authority,
    server: QuotaServer,
    asking: Asking,
    places: Places,
    token: Token,
) -> None:
    """The connection may still be open, and the cascade is."""
    # An answer that repeats the token is the server's text, and goes through the host.
    quiet: dict[str, Answer] = {
        "200": Answer(200, b'{"five_hour": {"utilization": 5}}', {"Connection": "keep-alive"}),
        **{status: Answer(int(status)) for status in ("401", "403", "404", "429", "500")},
        "no JSON": Answer(200, b"<html>"),
        "wrong types": Answer(200, b'{"five_hour": 7}'),
        "too long": Answer(200, b" " * 100_000),
        "cut off": Answer(said=b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}"),
        "no HTTP": Answer(said=b"SSH-2.0\r\n\r\n"),
        "no gzip": Answer(200, b"{}", {"Content-Encoding": "gzip"}),
        "gzip": Answer(500, gzip.compress(b"{}"), {"Content-Encoding": "gzip"}),
        "redirect": Answer(302, b"", {"Location": "https://127.0.0.1:1/"}),
        "nothing": NOTHING,
        "hangs up": HANGS_UP,
    }
    server.script = lambda _: quiet[name]
    asker = asking.ready(places, config_for(name, server, authority))
    told = asker.ask()
    assert told["error"] == (None if name == "200" else FAILURES[name][1])
    assert_memory_is_clean(asker.process.pid, token)
    asker.end()


@pytest.mark.usefixtures("readable_memory")
def test_the_search_of_memory_finds_what_is_there(asking: Asking, tmp_path: Path) -> None:
    """In the configuration of an asker, which Python keeps."""
    token = Token()
    places = Places(tmp_path / "account", None)
    asker = asking.ready(places, {"ca_file": f"/nowhere/{token.text}"})
    with pytest.raises(AssertionError):
        assert_memory_is_clean(asker.process.pid, token)
    asker.end()
