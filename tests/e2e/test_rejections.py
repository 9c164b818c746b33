"""The client's mistakes arrive as errors that say what is wrong, and reach no upstream."""

from __future__ import annotations

from typing import Any

import openai
import pytest
import wire
from asking import ask
from hosts import Host, StartHost, Upstream
from prompts import MODEL, conversation, marked, marker, message, text, without_markers

STREAMED_OR_NOT = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def with_marker(value: Any) -> list[Any]:
    block = {"type": "text", "text": text(10), "cache_control": value}
    return [message("user", [block])]


BAD_MARKERS = {
    "ttl": (with_marker({"type": "ephemeral", "ttl": "2h"}), "2h"),
    "type": (with_marker({"type": "persistent"}), "persistent"),
    "no type": (with_marker({"ttl": "5m"}), "cache_control must be an object"),
    "text": (with_marker("ephemeral"), "cache_control must be an object"),
    "null ttl": (with_marker({"type": "ephemeral", "ttl": None}), "cache_control must be"),
    "too many": ([message("user", marked(text(2)) * 5)], "max 4"),
}


@STREAMED_OR_NOT
@pytest.mark.parametrize("name", BAD_MARKERS)
def test_a_bad_marker_is_a_bad_request(
    memory_host: Host, upstream: Upstream, name: str, stream: bool
) -> None:
    messages, says = BAD_MARKERS[name]
    with pytest.raises(openai.BadRequestError) as caught:
        ask(memory_host.client(), messages, stream=stream)
    assert caught.value.status_code == 400
    assert caught.value.code == "invalid_cache_control"
    assert caught.value.param == "cache_control"
    assert caught.value.type == "invalid_request_error"
    assert says in caught.value.message
    assert upstream.requests() == []


def test_a_tier_that_is_off_is_named_with_those_that_are_on(start_host: StartHost) -> None:
    client = start_host(config={"enabled_ttls": ["5m", "1h"]}).client()
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, with_marker(marker("24h")))
    assert caught.value.code == "invalid_cache_control"
    assert caught.value.message.endswith(
        "cache_control ttl tier '24h' is not currently available; available tiers: 5m, 1h"
    )


def test_a_marker_beside_the_messages_must_not_contradict_the_last(memory_host: Host) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(
            memory_host.client(),
            with_marker(marker("5m")),
            extra_body={"cache_control": marker("1h")},
        )
    assert caught.value.code == "invalid_cache_control"


@STREAMED_OR_NOT
def test_a_wrong_value_in_the_query_is_a_bad_request(
    memory_host: Host, upstream: Upstream, stream: bool
) -> None:
    query = {"cacheBreakpoint": "lastMessage"}
    with pytest.raises(openai.BadRequestError) as caught:
        ask(memory_host.client(), conversation("a"), stream=stream, extra_query=query)
    assert caught.value.code == "invalid_cache_breakpoint"
    assert "lastMessage" in caught.value.message
    assert upstream.requests() == []


def test_a_body_over_the_limit_is_a_bad_request(start_host: StartHost, upstream: Upstream) -> None:
    client = start_host(config={"max_body_bytes": 20_000}).client()
    assert ask(client, conversation("a")).counts.created == 2100
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, conversation("a", 6000))
    assert caught.value.code == "body_read_failed"
    assert len(upstream.requests()) == 1


def test_a_bad_request_leaves_its_connection_usable(memory_host: Host) -> None:
    bad = {"model": MODEL, "messages": BAD_MARKERS["ttl"][0]}
    good = {"model": MODEL, "messages": without_markers(conversation("a"))}
    with wire.Connection(memory_host.port) as connection:
        for body, status in [(bad, 400), (good, 200), (bad, 400)]:
            connection.send(wire.chat_request(body))
            response = connection.response()
            assert (response.status, response.complete) == (status, True)
            assert response.header("content-type") == "application/json"


def test_what_is_not_json_is_the_upstreams_to_judge(memory_host: Host, upstream: Upstream) -> None:
    for body in (b"{", b"[1,2", b'{"a":"\xff"}', b"no json"):
        request = wire.request("POST", "/v1/chat/completions", body)
        response = wire.exchange(memory_host.port, request)
        assert response.status == 400
        assert response.json()["error"]["code"] == "invalid_json"
        assert upstream.requests()[-1]["body"] == body.decode("utf-8", "backslashreplace")
