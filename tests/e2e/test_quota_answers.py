"""What the endpoint answers, over TLS to a process of the Python API, becomes the result and the
lock that the reference was seen to make of it.
"""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from quota_processes import Asking, Places, elsewhere
from quota_server import NOTHING, Answer, Asked, Authority, QuotaServer, serving

Json = Any
VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "cascade.json.gz"
RECORDED: Json = json.loads(gzip.decompress(VECTORS.read_bytes()))
NOW_S = int(RECORDED["states"]["now"])
PATIENT = {"timeout_ms": 60_000, "transcripts": {"enabled": False}}
IMPATIENT = {**PATIENT, "timeout_ms": 500}
# An interim answer, of which HTTP says that the real one is still to come.
NOT_FINAL = {"s199"}


def recorded(fetch: str) -> Json:
    """What became of that answer where nothing was known before and nobody knew better."""
    for cache, lock, credentials, fetched, _, outcome in RECORDED["cases"]:
        nothing_known = cache in ("absent", "truncated", "schema2", "not_utf8", "future")
        nobody_locked = lock in ("absent", "expired", "legacy_dead")
        known = RECORDED["outcomes"][outcome]
        nobody_counted = known["result"].get("source", "endpoint") == "endpoint"
        asked = fetched == fetch and credentials == "ok"
        if asked and nothing_known and nobody_locked and nobody_counted:
            return known
    raise AssertionError(f"nothing is recorded of {fetch}")


def recorded_fetches() -> list[str]:
    return [name for name in RECORDED["states"]["fetch"] if name not in NOT_FINAL]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[QuotaServer]:
    with serving(authority) as server:
        yield server


@pytest.fixture(scope="module")
def asking() -> Iterator[Asking]:
    with Asking() as asking:
        yield asking


def answer_of(state: Json) -> Answer:
    retry_after = state["retry_after"]
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    if state["status"] == 204:
        return Answer(said=b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    return Answer(state["status"], state["body"].encode(), headers)


@pytest.mark.parametrize("fetch", recorded_fetches())
def test_recorded_answers(
    fetch: str, authority: Authority, server: QuotaServer, asking: Asking, tmp_path: Path
) -> None:
    state = RECORDED["states"]["fetch"][fetch]
    expected = recorded(fetch)
    places = Places(tmp_path / "account", "test-token")
    config = {**PATIENT, **elsewhere(server, authority)}
    server.requests.clear()
    if state.get("transport_error") == "timeout":
        server.script = lambda _: NOTHING
        config = {**IMPATIENT, **elsewhere(server, authority)}
    elif state.get("transport_error") == "network":
        with socket.socket() as taken:  # bound, but it does not listen
            taken.bind(("127.0.0.1", 0))
            config["api_base_url"] = f"https://127.0.0.1:{taken.getsockname()[1]}"
    else:
        answer = answer_of(state)
        server.script = lambda _: answer
    asker = asking.ready(places, config, clock=True)
    told = asker.ask(NOW_S * 10**9)
    asker.end()

    assert places.file("usage.lock") == expected["lock_after"]
    assert places.file("usage.json") == expected["cache_after"]
    if "error" in expected["result"]:
        assert told == {"source": None, "error": expected["result"]["error"]}
    else:
        assert (told["source"], told["error"]) == ("endpoint", None)
        known = {name: told["data"][name] for name in expected["result"] if name != "source"}
        assert known == {n: v for n, v in expected["result"].items() if n != "source"}
    if "status" in state:
        (asked,) = server.requests
        assert_asked_as_it_should(asked)


def assert_asked_as_it_should(asked: Asked) -> None:
    assert (asked.method, asked.target) == ("GET", "/api/oauth/usage")
    assert asked.headers["authorization"] == "Bearer test-token"
    assert asked.headers["anthropic-beta"] == "oauth-2025-04-20"
    assert asked.headers["user-agent"].startswith("satchel/")


def test_every_recorded_answer_is_tried() -> None:
    assert len(recorded_fetches()) + len(NOT_FINAL) == len(RECORDED["states"]["fetch"])
    assert {recorded(fetch)["result"].get("error") for fetch in recorded_fetches()} == {
        *(None, "ParseError", "NetworkError", "Unauthorized", "Forbidden"),
        *("RateLimited", "Timeout"),
    }


def assert_refused(asking: Asking, tmp_path: Path, config: Json, server: QuotaServer) -> None:
    places = Places(tmp_path / "account", "test-token")
    asker = asking.ready(places, {**PATIENT, **config})
    assert asker.ask() == {"source": None, "error": "NetworkError"}
    asker.end()
    assert places.file("usage.lock")["error"] == "NetworkError"
    assert server.requests == []


def test_an_authority_that_nobody_named_is_not_trusted(
    authority: Authority, asking: Asking, tmp_path: Path
) -> None:
    with serving(authority) as server:
        assert_refused(asking, tmp_path, elsewhere(server, None), server)


def test_another_authority_is_not_trusted(
    authority: Authority, asking: Asking, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other")
    with serving(authority) as server:
        assert_refused(asking, tmp_path, elsewhere(server, other), server)


def test_a_certificate_for_another_name_is_not_taken(
    authority: Authority, asking: Asking, tmp_path: Path
) -> None:
    certificate = authority.certificate("elsewhere", "DNS:api.anthropic.com,IP:127.0.0.2")
    with QuotaServer(certificate) as server:
        assert_refused(asking, tmp_path, elsewhere(server, authority), server)


def test_an_old_protocol_is_not_spoken(
    authority: Authority, asking: Asking, tmp_path: Path
) -> None:
    with serving(authority) as server:
        assert server._context is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            server._context.minimum_version = ssl.TLSVersion.TLSv1
            server._context.maximum_version = ssl.TLSVersion.TLSv1_1
        assert_refused(asking, tmp_path, elsewhere(server, authority), server)


def test_a_server_without_tls_is_no_endpoint(
    authority: Authority, asking: Asking, tmp_path: Path
) -> None:
    with QuotaServer(None, lambda _: Answer(400)) as server:
        config = elsewhere(server, authority)
        config["api_base_url"] = f"https://127.0.0.1:{server.port}"
        places = Places(tmp_path / "account", "test-token")
        asker = asking.ready(places, {**IMPATIENT, **config})
        # It waits for a whole head, and who speaks TLS sends none.
        assert asker.ask()["error"] in ("NetworkError", "Timeout")
        asker.end()
        assert server.requests == []


def test_a_redirect_is_not_followed(authority: Authority, asking: Asking, tmp_path: Path) -> None:
    with serving(authority) as other, serving(authority) as server:
        location = {"Location": f"{other.url}/api/oauth/usage"}
        server.script = lambda _: Answer(307, b"", location)
        places = Places(tmp_path / "account", "test-token")
        asker = asking.ready(places, {**PATIENT, **elsewhere(server, authority)})
        assert asker.ask()["error"] == "NetworkError"
        asker.end()
        assert len(server.requests) == 1
        assert other.requests == []
