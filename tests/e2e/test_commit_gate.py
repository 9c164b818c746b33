"""Only a prompt whose answer came in full enters the index."""

from __future__ import annotations

from typing import Any

import openai
import pytest
import wire
from asking import ask
from hosts import Host, StartHost, Upstream, eventually
from prompts import MODEL, ZERO, Counts, conversation, counts

CREATED = Counts(created_1h=2000, created_5m=100)


def body(seed: str = "a", *, stream: bool = True) -> Any:
    return {"model": MODEL, "messages": conversation(seed), "stream": stream}


def assert_nothing_committed(host: Host) -> None:
    """The index took nothing, and the same prompt is new to it."""
    assert host.settled_index()["entries_written"] == 0
    assert ask(host.client(), conversation("a")).counts == CREATED
    assert host.settled_index()["entries_written"] == 2


def test_an_answer_in_full_is_committed(host: Host) -> None:
    ask(host.client(), conversation("a"), stream=True)
    assert host.settled_index()["entries_written"] == 2


def test_a_client_that_leaves_in_mid_stream_commits_nothing(host: Host, upstream: Upstream) -> None:
    stream = host.client().chat.completions.create(
        model=MODEL,
        messages=conversation("a"),
        stream=True,
        extra_headers={"x-upstream-script": "fault=endless,slow=1"},
    )
    for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    stream.close()
    eventually(
        lambda: upstream.requests()[0]["outcome"] == "client_gone", "the host leaves the upstream"
    )
    assert_nothing_committed(host)


def test_a_client_that_is_killed_in_mid_stream_commits_nothing(
    host: Host, upstream: Upstream
) -> None:
    with wire.Connection(host.port) as connection:
        connection.send(wire.chat_request(body(), "fault=endless,slow=1"))
        connection.read_until(b'"content": "')
        connection.reset()
    eventually(
        lambda: upstream.requests()[0]["outcome"] == "client_gone", "the host leaves the upstream"
    )
    assert_nothing_committed(host)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_client_that_leaves_while_nothing_comes_frees_its_request(
    host: Host, upstream: Upstream, stream: bool
) -> None:
    with wire.Connection(host.port) as connection:
        connection.send(wire.chat_request(body(stream=stream), "fault=hang"))
        eventually(lambda: len(upstream.requests()) == 1, "the request reaches the upstream")
        assert host.in_flight() == 1
    eventually(
        lambda: upstream.requests()[0]["outcome"] == "client_gone", "the host leaves the upstream"
    )
    assert_nothing_committed(host)


def test_a_client_that_leaves_once_it_has_everything_has_its_prompt_cached(
    host: Host, upstream: Upstream
) -> None:
    # The synchronous openai client hangs up at [DONE], while the last chunk is on its way.
    chunks = host.client().chat.completions.create(
        model=MODEL,
        messages=conversation("a"),
        stream=True,
        extra_headers={"x-upstream-script": "end_gate=end"},
    )
    assert [counts(chunk.usage) for chunk in chunks if chunk.usage] == [CREATED]
    eventually(lambda: upstream.waiting("end") == 1, "the upstream has sent [DONE]")
    eventually(lambda: host.in_flight() == 0, "the host lets the request go")
    upstream.open_gate("end")
    assert ask(host.client(), conversation("a")).counts == Counts(read=2100)


def test_an_upstream_that_dies_in_mid_stream_breaks_the_clients(host: Host) -> None:
    response = wire.exchange(host.port, wire.chat_request(body(), "fault=die"))
    assert response.status == 200
    assert not response.complete
    assert len(wire.events(response.body)) == 3
    assert_nothing_committed(host)


def test_the_openai_client_notices_a_broken_stream(memory_host: Host) -> None:
    with pytest.raises(Exception, match=r"(?i)peer closed|incomplete|connection|disconnected"):
        ask(memory_host.client(), conversation("a"), stream=True, script="fault=die")
    assert memory_host.settled_index()["entries_written"] == 0


def test_an_upstream_that_dies_in_mid_answer_is_no_answer(host: Host) -> None:
    response = wire.exchange(host.port, wire.chat_request(body(stream=False), "fault=die"))
    if response.status == 200:
        assert not response.complete
    else:
        assert response.status == 502
        assert "message" in response.json()["error"]
    assert_nothing_committed(host)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_upstream_that_hangs_up_without_a_word_is_a_502(host: Host, stream: bool) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        ask(host.client(), conversation("a"), stream=stream, script="fault=drop")
    assert caught.value.status_code == 502
    assert_nothing_committed(host)


def test_an_error_frame_passes_and_vetoes_the_commit(host: Host) -> None:
    response = wire.exchange(host.port, wire.chat_request(body(), "fault=error-frame"))
    assert response.complete
    assert b'data: {"error": {"message": "The server had an error' in response.body
    assert counts(wire.usages(response.body)[-1]) == CREATED
    assert_nothing_committed(host)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_answer_without_usage_commits_nothing(host: Host, stream: bool) -> None:
    answer = ask(host.client(), conversation("a"), stream=stream, script="usage=none")
    assert answer.message["content"]
    assert answer.usage is None
    assert_nothing_committed(host)


@pytest.mark.parametrize("status", [400, 429, 500, 503])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_error_of_the_upstream_passes_and_commits_nothing(
    host: Host, status: int, stream: bool
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        ask(host.client(), conversation("a"), stream=stream, script=f"status={status}")
    assert caught.value.status_code == status
    assert caught.value.type == "server_error"
    assert_nothing_committed(host)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_compressed_answer_passes_untouched_and_commits_nothing(
    host: Host, upstream: Upstream, stream: bool
) -> None:
    through = wire.exchange(host.port, wire.chat_request(body(stream=stream), "gzip"))
    forwarded = upstream.last_body()
    upstream.server.get("/control/reset", "POST")  # so that the engine's own cache is as it was
    past = wire.exchange(upstream.port, wire.chat_request(forwarded, "gzip"))
    assert through.complete
    assert through.header("content-encoding") == "gzip"
    assert through.body == past.body
    assert_nothing_committed(host)


def test_an_event_without_end_breaks_the_stream(host: Host, upstream: Upstream) -> None:
    response = wire.exchange(host.port, wire.chat_request(body(), "fault=endless-event"))
    assert not response.complete
    assert len(response.body) < 1 << 20
    eventually(
        lambda: upstream.requests()[0]["outcome"] == "client_gone", "the host leaves the upstream"
    )
    assert_nothing_committed(host)


def test_usage_with_every_token_is_rewritten_in_every_frame(host: Host) -> None:
    for expected in (CREATED, Counts(read=2100)):
        response = wire.exchange(host.port, wire.chat_request(body(), "usage=every,tokens=8"))
        usages = wire.usages(response.body)
        assert len(usages) == 11  # a role, eight tokens, the end, the last usage
        assert [usage["completion_tokens"] for usage in usages[1:9]] == list(range(1, 9))
        assert counts(usages[-1]) == expected
        # A frame that comes before the counts are known says nothing of the engine's own cache.
        for usage in usages:
            known = "cache_creation" in usage and counts(usage) == expected
            assert known or usage["prompt_tokens_details"]["cached_tokens"] == 0
    assert host.settled_index()["entries_written"] == 2


def test_a_stream_with_crlf_is_counted_and_keeps_its_line_ends(host: Host) -> None:
    for expected in (CREATED, Counts(read=2100)):
        response = wire.exchange(host.port, wire.chat_request(body(), "crlf"))
        assert counts(wire.usages(response.body)[-1]) == expected
        assert response.body.count(b"\r\n\r\n") == response.body.count(b"\n\r\n")
        assert response.body.count(b"\n") == response.body.count(b"\r\n")


def test_an_upstream_that_is_not_there_is_a_502_that_says_so(start_host: StartHost) -> None:
    host = start_host(upstream_url="http://127.0.0.1:1")
    for stream in (False, True):
        with pytest.raises(openai.InternalServerError) as caught:
            ask(host.client(), conversation("a"), stream=stream)
        assert caught.value.status_code == 502
        assert caught.value.body is not None
    response = wire.exchange(host.port, wire.request("GET", "/v1/models"))
    assert response.status == 502
    assert response.header("content-type") == "application/json"
    assert response.json()["error"]["message"]
    assert host.settled_index()["entries_written"] == 0


def test_zero_counts_commit_nothing(host: Host) -> None:
    assert ask(host.client(), conversation("a", 100)).counts == ZERO
    assert host.settled_index()["entries_written"] == 0
