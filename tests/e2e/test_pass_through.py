"""What is not the cache's business goes through as it is, hop-by-hop headers aside."""

from __future__ import annotations

import hashlib
import json
import random

import pytest
import wire
from hosts import Host, StartHost, Upstream
from prompts import MODEL, conversation, counts

HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}


def received(upstream: Upstream) -> dict[str, list[str]]:
    """The headers of the last request that reached the upstream, by lower-case name."""
    headers: dict[str, list[str]] = {}
    for name, value in upstream.requests()[-1]["headers"]:
        headers.setdefault(name.lower(), []).append(value)
    return headers


def test_models_are_listed(memory_host: Host, upstream: Upstream) -> None:
    through, past = memory_host.client().models.list(), upstream.client().models.list()
    assert through.data == past.data
    assert [model.id for model in through.data] == ["m-1"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_any_method_with_any_body(memory_host: Host, upstream: Upstream, method: str) -> None:
    body = bytes(range(256)) * 40
    sent = wire.request(method, "/v1/files/x", body, [("Content-Type", "application/x-thing")])
    response = wire.exchange(memory_host.port, sent)
    assert response.status == 200
    assert response.body == body
    assert response.header("content-type") == "application/x-thing"
    assert response.header("x-echo-method") == method
    assert upstream.requests()[-1]["method"] == method


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
def test_any_method_without_a_body(memory_host: Host, method: str) -> None:
    response = wire.exchange(memory_host.port, wire.request(method, "/v1/files/x"))
    assert (response.status, response.body, response.complete) == (200, b"", True)
    assert response.header("x-echo-method") == method


def test_head_has_the_length_and_no_body(memory_host: Host) -> None:
    with wire.Connection(memory_host.port) as connection:
        connection.send(wire.request("HEAD", "/v1/models"))
        response = connection.response(to_head=True)
        assert response.status == 200
        connection.send(wire.request("GET", "/v1/files"))
        assert connection.response().header("x-echo-method") == "GET"


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/v1/files/a%2Fb%20c?x=%26&&y=1;z=2&x=3",
        "/v1/chat/completions/extra?cacheBreakpoint=lastUserMessage",
        "/v1/embeddings?cacheBreakpoint=nonsense",
        "/v1//double/./dot/../up",
        "/v1/files?q=" + "a" * 4000,
    ],
)
def test_targets_arrive_as_they_are(memory_host: Host, upstream: Upstream, target: str) -> None:
    body = json.dumps({"messages": conversation("a")}).encode()
    response = wire.exchange(memory_host.port, wire.request("POST", target, body))
    assert response.status == 200
    assert response.body == body
    assert upstream.requests()[-1]["target"] == target


@pytest.mark.parametrize(
    ("target", "arrives"),
    [
        ("http://a-host:80/v1/files?x=http://b/c", "/v1/files?x=http://b/c"),
        ("HTTPS://a-host", "/"),
        ("http://a-host?of=/metrics", "/?of=/metrics"),
    ],
)
def test_a_target_with_a_host_is_the_same_without(
    memory_host: Host, upstream: Upstream, target: str, arrives: str
) -> None:
    wire.exchange(memory_host.port, wire.request("GET", target))
    assert upstream.requests()[-1]["target"] == arrives


def test_an_upstream_below_a_path(start_host: StartHost, upstream: Upstream) -> None:
    host = start_host(upstream_url=upstream.url + "/tenant/7")
    assert wire.exchange(host.port, wire.request("GET", "/v1/models?a=b")).status == 200
    assert upstream.requests()[-1]["target"] == "/tenant/7/v1/models?a=b"


def test_headers_pass_both_ways(memory_host: Host, upstream: Upstream) -> None:
    headers = [
        ("Authorization", "Bearer sk-passes"),
        ("X-Twice", "one"),
        ("X-Twice", "two"),
        ("X-Empty", ""),
        ("Accept-Encoding", "gzip, br"),
        ("User-Agent", "a-client/1.0"),
        ("Cookie", "a=b; c=d"),
        ("X-Latin", "caf\u00e9".encode("latin-1").decode("latin-1")),
    ]
    wire.exchange(memory_host.port, wire.request("GET", "/v1/files", headers=headers))
    got = received(upstream)
    assert got["authorization"] == ["Bearer sk-passes"]
    assert got["x-twice"] == ["one", "two"]
    assert got["x-empty"] == [""]
    assert got["accept-encoding"] == ["gzip, br"]
    assert got["user-agent"] == ["a-client/1.0"]
    assert got["cookie"] == ["a=b; c=d"]


def test_a_client_that_names_no_agent_gets_none(memory_host: Host, upstream: Upstream) -> None:
    wire.exchange(memory_host.port, wire.request("GET", "/v1/files"))
    assert not {"user-agent", "accept", "accept-encoding"} & set(received(upstream))


def test_the_host_header_names_the_upstream(memory_host: Host, upstream: Upstream) -> None:
    wire.exchange(memory_host.port, wire.request("GET", "/v1/files"))
    assert received(upstream)["host"] == [f"127.0.0.1:{upstream.port}"]


def test_hop_by_hop_headers_end_at_the_host(memory_host: Host, upstream: Upstream) -> None:
    headers = [
        ("Connection", "keep-alive, X-Mine"),
        ("X-Mine", "1"),
        ("Keep-Alive", "timeout=9"),
        ("TE", "trailers"),
        ("Proxy-Authorization", "Basic eA=="),
        ("X-Yours", "1"),
        ("x-upstream-script", "hop"),
    ]
    with wire.Connection(memory_host.port) as connection:
        connection.send(wire.request("GET", "/v1/files", headers=headers))
        response = connection.response()
    got = received(upstream)
    assert not {"x-mine", "keep-alive", "te", "proxy-authorization"} & set(got)
    assert got["x-yours"] == ["1"]
    assert response.header("x-end-to-end") == "1"
    assert response.header("x-this-hop") is None
    assert "timeout=5" not in (response.header("keep-alive") or "")


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_large_body_passes_whole(memory_host: Host, upstream: Upstream, chunked: bool) -> None:
    body = random.Random(7).randbytes(30 << 20)
    if chunked:
        head = wire.request("POST", "/v1/files", headers=[("Transfer-Encoding", "chunked")])
        pieces = (body[i : i + 100_000] for i in range(0, len(body), 100_000))
        sent = head + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"
    else:
        sent = wire.request("POST", "/v1/files", body)
    response = wire.exchange(memory_host.port, sent)
    assert response.complete
    assert hashlib.sha256(response.body).digest() == hashlib.sha256(body).digest()
    assert upstream.requests()[-1]["body_bytes"] == len(body)


def test_a_body_over_the_hosts_limit_is_a_413(memory_host: Host, upstream: Upstream) -> None:
    sent = wire.request("POST", "/v1/files", bytes(33 << 20))
    response = wire.exchange(memory_host.port, sent)
    assert response.status == 413
    assert response.json()["error"]["message"]
    assert upstream.requests() == []


def test_a_prompt_in_chunks_is_a_prompt(memory_host: Host, upstream: Upstream) -> None:
    prompt = {"model": MODEL, "messages": conversation("a")}
    body = json.dumps(prompt).encode()
    fields = [("Transfer-Encoding", "chunked"), ("Content-Type", "application/json")]
    head = wire.request("POST", "/v1/chat/completions", headers=fields)
    with wire.Connection(memory_host.port) as connection:
        connection.send(head)
        for start in range(0, len(body), 1000):
            piece = body[start : start + 1000]
            connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        connection.send(b"0\r\n\r\n")
        response = connection.response()
    assert response.status == 200
    assert "cache_control" not in upstream.requests()[-1]["body"]


def test_a_prompt_of_megabytes_is_counted_and_read(memory_host: Host) -> None:
    prompt = {"model": MODEL, "messages": conversation("a", 2_000_000)}
    for read in (0, 2_000_100):
        response = wire.exchange(memory_host.port, wire.chat_request(prompt))
        assert response.status == 200
        found = counts(response.json()["usage"])
        assert (found.read, found.read + found.created) == (read, 2_000_100)


def test_an_answer_of_megabytes_arrives_whole(memory_host: Host) -> None:
    for stream, tokens in ((False, 200_000), (True, 5_000)):
        prompt = {"model": MODEL, "messages": conversation("a"), "stream": stream}
        sent = wire.chat_request(prompt, f"tokens={tokens}")
        response = wire.exchange(memory_host.port, sent)
        assert response.complete
        usage = wire.usages(response.body)[-1] if stream else response.json()["usage"]
        assert usage["completion_tokens"] == tokens


def test_a_client_that_expects_100_continue_gets_it(memory_host: Host) -> None:
    body = json.dumps({"model": MODEL, "messages": conversation("a")}).encode()
    fields = [("Expect", "100-continue"), ("Content-Length", str(len(body)))]
    with wire.Connection(memory_host.port) as connection:
        connection.send(wire.request("POST", "/v1/chat/completions", headers=fields))
        assert connection.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        connection.send(body)
        assert connection.response().status == 200


def test_requests_follow_each_other_on_one_connection(memory_host: Host) -> None:
    with wire.Connection(memory_host.port) as connection:
        for turn in range(6):
            prompt = {"model": MODEL, "messages": conversation("a"), "stream": turn % 2 == 0}
            connection.send(wire.chat_request(prompt))
            response = connection.response()
            assert (response.status, response.complete) == (200, True)
            connection.send(wire.request("GET", "/v1/models"))
            assert connection.response().status == 200
