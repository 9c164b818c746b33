"""Each with its own way over the network, to one server: the same files and answers."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest
from usage_directory import assert_same, assert_same_answer, assert_same_contents, contents
from usage_peer import UsagePeer
from usage_server import Answer, UsageServer, chunked, gzipped
from usage_templates import MANY, WHOLE, text

TIMEOUT_MS = 60_000
SHORT_TIMEOUT_MS = 400  # where no answer comes
LONGEST = 65_535  # bytes of a body that is taken


def padded(size: int) -> bytes:
    """A body of that size that can be read."""
    return text({"x": "y" * (size - len(text({"x": ""})))})


def rate_limited(retry_after: str) -> Answer:
    return Answer(429, headers={"Retry-After": retry_after})


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\n"
ANSWERS = {
    "200": (Answer(body=text(WHOLE)), None),
    "200 with many buckets": (Answer(body=text(MANY)), None),
    "200 in HTTP/1.0": (Answer(said=b"HTTP/1.0 200 OK\r\n\r\n" + text(WHOLE)), None),
    "200 in lower case": (
        Answer(said=b"HTTP/1.1 200 ok\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"),
        None,
    ),
    "200 without a reason": (
        Answer(said=b"HTTP/1.1 200 \r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"),
        None,
    ),
    "200 in gzip": (gzipped(text(WHOLE)), None),
    "200 in chunks": (chunked(text(WHOLE)), None),
    "200, as long as can be": (Answer(body=padded(LONGEST)), None),
    "200, a byte longer": (Answer(body=padded(LONGEST + 1)), "NetworkError"),
    "200, far longer": (Answer(body=padded(1_000_000)), "NetworkError"),
    "200, longer than it is": (Answer(said=HEAD + b'{"x": 1}'), "NetworkError"),
    "200, cut off in a chunk": (chunked(text(WHOLE), ends=False), "NetworkError"),
    "200, no gzip": (Answer(headers={"Content-Encoding": "gzip"}), "NetworkError"),
    "200, no JSON": (Answer(body=b"<html>"), "ParseError"),
    "200, empty": (Answer(body=b""), "ParseError"),
    "201": (Answer(201), None),
    "204": (Answer(said=b"HTTP/1.1 204 No\r\nConnection: close\r\n\r\n"), "ParseError"),
    "304": (Answer(said=b"HTTP/1.1 304 No\r\nConnection: close\r\n\r\n"), "NetworkError"),
    "400": (Answer(400), "NetworkError"),
    "401": (Answer(401), "Unauthorized"),
    "403": (Answer(403), "Forbidden"),
    "401, too long": (Answer(401, body=padded(LONGEST + 1)), "NetworkError"),
    "404": (Answer(404), "NetworkError"),
    "500": (Answer(500), "NetworkError"),
    "500 in gzip": (Answer(500, gzipped(b"{}").body, {"Content-Encoding": "gzip"}), "NetworkError"),
    "503 with Retry-After": (Answer(503, headers={"Retry-After": "1000"}), "NetworkError"),
    "429": (Answer(429), "RateLimited"),
    **{
        f"429, {retry_after!r}": (rate_limited(retry_after), "RateLimited")
        for retry_after in (
            *("120", "+120", "0", "-5", "1.5", "86400", "86401", "18446744073709551615", "soon"),
            *("18446744073709551616", "  77  ", "0077", "", "120, 240", "120 s", "1e3"),
        )
    },
    "429, retry-after": (Answer(429, headers={"retry-after": "99"}), "RateLimited"),
    "nothing, and then the end": (Answer(said=b""), "NetworkError"),
    "no HTTP": (Answer(said=b"SSH-2.0-OpenSSH_9.2\r\n"), "NetworkError"),
    "half a first line": (Answer(said=b"HTTP/1.1 200 O"), "NetworkError"),
    "nothing": (Answer(said=b"", held=True), "Timeout"),
    "half a head, and no more": (Answer(said=b"HTTP/1.1 200 OK\r\nCont", held=True), "Timeout"),
    "a head, and no more": (Answer(said=HEAD, held=True), "Timeout"),
    "half a body, and no more": (Answer(said=HEAD + b'{"x": ', held=True), "Timeout"),
}


@pytest.fixture
def server() -> Iterator[UsageServer]:
    server = UsageServer()
    yield server
    server.close()


@pytest.fixture
def sides(usage_reference: UsagePeer, usage_library: UsagePeer) -> dict[str, UsagePeer]:
    return {"reference": usage_reference, "library": usage_library}


def compare(
    sides: dict[str, UsagePeer],
    tmp_path: Path,
    url: str,
    before: bool,
    timeout_ms: int = TIMEOUT_MS,
) -> str | None:
    """Both ask; the error in their locks."""
    answers = []
    for name, peer in sides.items():
        if before:
            sides["reference"].write_cache(tmp_path / name, text(WHOLE), "2026-01-01T00:00:00Z")
        answers.append(
            peer.resolve(
                tmp_path / name,
                credentials={"token": "a-token"},
                transport={"url": url},
                timeout_ms=timeout_ms,
            )
        )
    assert_same_answer(*answers)
    assert_same_contents(tmp_path / "reference", tmp_path / "library")
    error = contents(tmp_path / "library")["usage.lock"].get("error")
    return None if error is None else str(error)


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("before", [False, True], ids=["cold", "stale"])
def test_answers(
    sides: dict[str, UsagePeer], server: UsageServer, tmp_path: Path, name: str, before: bool
) -> None:
    server.answer, expected = ANSWERS[name]
    timeout_ms = SHORT_TIMEOUT_MS if expected == "Timeout" else TIMEOUT_MS
    assert compare(sides, tmp_path, server.url, before, timeout_ms) == expected
    if expected == "Timeout":
        return  # on a machine that is slow, nobody got as far as to ask
    theirs, ours = server.requests
    for wanted in (
        b"GET /api/oauth/usage HTTP/1.1\r\n",
        b"authorization: bearer a-token\r\n",
        b"anthropic-beta: oauth-2025-04-20\r\n",
    ):
        assert wanted.lower() in theirs.lower()
        assert wanted.lower() in ours.lower()


@pytest.mark.parametrize("status", [200, 401])
def test_half_a_head(
    sides: dict[str, UsagePeer], server: UsageServer, tmp_path: Path, status: int
) -> None:
    server.answer = Answer(said=b"HTTP/1.1 %d OK\r\nContent-Le" % status)
    assert compare(sides, tmp_path, server.url, before=True) == "NetworkError"


@pytest.mark.parametrize("seconds", [-1000, 1000, 200_000])
@pytest.mark.parametrize("form", ["IMF", "RFC 850", "asctime"])
def test_dates_in_retry_after(
    sides: dict[str, UsagePeer], server: UsageServer, tmp_path: Path, seconds: int, form: str
) -> None:
    at = time.time() + seconds
    server.answer = rate_limited(
        {
            "IMF": formatdate(at, usegmt=True),
            "RFC 850": time.strftime("%A, %d-%b-%y %H:%M:%S GMT", time.gmtime(at)),
            "asctime": time.asctime(time.gmtime(at)),
        }[form]
    )
    assert compare(sides, tmp_path, server.url, before=False) == "RateLimited"
    until = contents(tmp_path / "library")["usage.lock"]["blocked_until"]
    wanted = {-1000: 300, 1000: 1000, 200_000: 86_400}[seconds]
    assert abs(until - (time.time() + wanted)) < 30


def test_a_server_that_is_not_there(sides: dict[str, UsagePeer], tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound, but it does not listen
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert compare(sides, tmp_path, url, before=False) == "NetworkError"


def test_what_one_fetched_the_other_need_not(
    sides: dict[str, UsagePeer], server: UsageServer, tmp_path: Path
) -> None:
    server.answer = Answer(body=json.dumps(MANY).encode())
    for first, second in (("reference", "library"), ("library", "reference")):
        directory, before = tmp_path / first, len(server.requests)
        answers = [
            sides[side].resolve(
                directory, credentials={"token": "a-token"}, transport={"url": server.url}
            )
            for side in (first, second)
        ]
        assert len(server.requests) == before + 1
        results = [answer["result"] for answer in answers]
        for result in results:
            result.pop("from", None)
        reference, library = results if first == "reference" else reversed(results)
        assert_same(library, reference)
