"""A request's whole life."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import satchel
from conftest import (
    CONFIG,
    PROMPT_TOKENS,
    TARGET,
    begin,
    chat_body,
    json_response,
    put_through,
    sse_response,
    usage_in,
)
from satchel import Commit, ResponsePlan


@pytest.fixture(params=["memory", "sqlite"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, object]:
    if request.param == "memory":
        return {"kind": "memory"}
    return {"kind": "sqlite", "path": tmp_path / "index"}


def test_the_first_turn_creates_and_the_second_reads(index: dict[str, object]) -> None:
    with satchel.PromptCache({**CONFIG, "index": index}) as cache:
        answer, first = put_through(cache, chat_body(), json_response())
        assert usage_in(answer)["cache_creation_input_tokens"] == PROMPT_TOKENS
        assert usage_in(answer)["cache_read_input_tokens"] == 0
        assert (first.creation_5m, first.read, first.commit) == (
            PROMPT_TOKENS,
            0,
            Commit.HANDED_OVER,
        )

        answer, second = put_through(cache, chat_body(), json_response())
        assert usage_in(answer)["prompt_tokens_details"]["cached_tokens"] == PROMPT_TOKENS
        assert usage_in(answer)["cache_creation_input_tokens"] == 0
        assert (second.creation, second.read) == (0, PROMPT_TOKENS)


def test_a_second_cache_reads_what_the_first_wrote_to_the_same_path(tmp_path: Path) -> None:
    config = {**CONFIG, "index": {"kind": "sqlite", "path": tmp_path / "index"}}
    with satchel.PromptCache(config) as cache:
        put_through(cache, chat_body(), json_response())
    with satchel.PromptCache(config) as cache:
        assert put_through(cache, chat_body(), json_response())[1].read == PROMPT_TOKENS


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64, None])
def test_a_stream_may_be_cut_anywhere(cache: satchel.PromptCache, chunk: int | None) -> None:
    whole = put_through(
        cache,
        chat_body(stream=True),
        sse_response(),
        content_type="text/event-stream",
        api_key=f"sk-{chunk}",
        chunk=chunk,
    )
    assert usage_in(whole[0])["cache_creation_input_tokens"] == PROMPT_TOKENS
    assert whole[0].count(b"data: ") == sse_response().count(b"data: ")
    assert whole[0].endswith(b"data: [DONE]\n\n")
    again = put_through(
        cache,
        chat_body(stream=True),
        sse_response(),
        content_type="text/event-stream",
        api_key=f"sk-{chunk}",
        chunk=chunk,
    )
    assert usage_in(again[0])["cache_read_input_tokens"] == PROMPT_TOKENS


def test_the_tiers_are_counted_apart(cache: satchel.PromptCache) -> None:
    result = put_through(cache, chat_body(ttl="24h"), json_response())[1]
    assert (result.creation_5m, result.creation_1h, result.creation_24h) == (0, 0, PROMPT_TOKENS)


def test_principals_do_not_share(cache: satchel.PromptCache) -> None:
    put_through(cache, chat_body(), json_response(), api_key="sk-1")
    assert put_through(cache, chat_body(), json_response(), api_key="sk-2")[1].read == 0


def test_an_authorization_header_and_the_key_in_it_are_the_same_principal(
    cache: satchel.PromptCache,
) -> None:
    put_through(cache, chat_body(), json_response(), api_key="sk-1")
    request = cache.request(method=b"POST", target=TARGET.encode(), authorization="Bearer sk-1")
    assert request is not None
    with request:
        request.body(chat_body())
        request.classify()
        assert request.result.read == PROMPT_TOKENS


def test_markers_are_removed_and_a_stream_asks_for_its_usage(cache: satchel.PromptCache) -> None:
    with begin(cache) as request:
        forward = request.body(chat_body(stream=True))
        assert forward is not None
        assert forward.body_changed
        sent = json.loads(forward.body)
        assert sent["stream_options"] == {"include_usage": True}
        assert b"cache_control" not in forward.body
        assert request.result.had_markers


def test_a_body_that_does_not_change_is_the_same_object(cache: satchel.PromptCache) -> None:
    body = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'
    with begin(cache) as request:
        forward = request.body(body)
    assert forward is not None
    assert forward.body is body
    assert not forward.body_changed


def test_the_query_asks_for_a_breakpoint_and_does_not_reach_upstream(
    cache: satchel.PromptCache,
) -> None:
    target = TARGET + "?a=1&cacheBreakpoint=lastUserMessage"
    request = cache.request(method="POST", target=target, api_key="sk-1")
    assert request is not None
    with request:
        body = {"model": "m", "messages": [{"role": "user", "content": "x" * 400}]}
        forward = request.body(json.dumps(body).encode())
        assert forward is not None
        assert (forward.target, forward.target_changed) == (TARGET + "?a=1", True)
        request.classify()
        assert request.result.creation_1h == 100


@pytest.mark.parametrize(
    ("method", "target"), [("GET", TARGET), ("POST", "/v1/embeddings"), ("", "")]
)
def test_other_requests_pass_through(cache: satchel.PromptCache, method: str, target: str) -> None:
    assert cache.request(method=method, target=target) is None


def test_a_body_that_is_not_json_passes_through(cache: satchel.PromptCache) -> None:
    with begin(cache) as request:
        assert request.body(b"not json") is None


def test_a_bad_marker_is_rejected_with_the_answer_for_the_client(
    cache: satchel.PromptCache,
) -> None:
    with begin(cache) as request, pytest.raises(satchel.Rejected) as caught:
        request.body(chat_body(ttl="2h"))
    rejected = caught.value
    assert rejected.reason is satchel.MarkerFault.INVALID_TTL
    assert (rejected.http_status, rejected.content_type) == (400, "application/json")
    error = json.loads(rejected.body)["error"]
    assert (error["code"], error["type"]) == ("invalid_cache_control", "invalid_request_error")
    assert error["message"] == rejected.message


def test_a_body_over_the_limit_is_rejected() -> None:
    with satchel.PromptCache({"max_body_bytes": 100}) as cache:
        assert cache.max_body == 100
        with begin(cache) as request, pytest.raises(satchel.Rejected) as caught:
            request.body(chat_body()[:101])
    assert json.loads(caught.value.body)["error"]["code"] == "body_read_failed"


@pytest.mark.parametrize(
    ("content_type", "plan"),
    [
        ("application/json", ResponsePlan.HELD),
        (None, ResponsePlan.HELD),
        ("text/event-stream", ResponsePlan.STREAM),
        ("text/html", ResponsePlan.AS_IS),
    ],
)
def test_the_plan_says_what_happens_to_the_length(
    cache: satchel.PromptCache, content_type: str | None, plan: ResponsePlan
) -> None:
    with begin(cache) as request:
        request.body(chat_body())
        assert request.response(200, content_type=content_type) is plan


def test_a_compressed_response_passes_and_commits_nothing(cache: satchel.PromptCache) -> None:
    with begin(cache) as request:
        request.body(chat_body())
        plan = request.response(200, content_type="application/json", content_encoding="gzip")
        assert plan is ResponsePlan.AS_IS
        assert request.write(b"\x1f\x8b rest") == b"\x1f\x8b rest"
        request.end()
        assert request.result.commit is Commit.VETO_NO_USAGE


@pytest.mark.parametrize(
    ("status", "response", "commit"),
    [
        (500, json_response(), Commit.VETO_NON_2XX),
        (200, b'{"id": "1"}', Commit.VETO_NO_USAGE),
    ],
)
def test_the_gate_says_why_nothing_was_committed(
    cache: satchel.PromptCache, status: int, response: bytes, commit: Commit
) -> None:
    assert put_through(cache, chat_body(), response, status=status)[1].commit is commit
    assert put_through(cache, chat_body(), json_response())[1].read == 0


def test_an_aborted_request_commits_nothing(cache: satchel.PromptCache) -> None:
    with begin(cache) as request:
        request.body(chat_body())
        request.response(200, content_type="application/json")
        request.abort()
        request.abort()
    assert request.result.commit is Commit.VETO_ABORTED


def test_leaving_the_block_early_aborts_and_the_result_stays(cache: satchel.PromptCache) -> None:
    with begin(cache) as request:
        request.body(chat_body())
        request.classify()
        request.response(200, content_type="text/event-stream")
        request.write(sse_response().replace(b"data: [DONE]\n\n", b""))
    assert request.closed
    assert request.result.commit is Commit.VETO_ABORTED
    assert request.result.creation_5m == PROMPT_TOKENS
    request.close()


def test_a_client_that_leaves_after_done_has_had_everything(cache: satchel.PromptCache) -> None:
    with begin(cache) as request:
        request.body(chat_body(stream=True))
        request.response(200, content_type="text/event-stream")
        request.write(sse_response())
    assert request.result.commit is Commit.HANDED_OVER


def test_an_endless_event_breaks_the_stream() -> None:
    with satchel.PromptCache({**CONFIG, "max_event_bytes": 1000}) as cache, begin(cache) as request:
        request.body(chat_body(stream=True))
        request.response(200, content_type="text/event-stream")
        with pytest.raises(satchel.StreamError):
            request.write(b"data: " + b"x" * 2000)


def test_bytes_like_objects_are_taken(cache: satchel.PromptCache) -> None:
    with begin(cache) as request:
        forward = request.body(bytearray(chat_body()))
        assert forward is not None
        assert isinstance(forward.body, bytes)
        request.response(200, content_type=b"text/event-stream")
        stream = sse_response()
        pieces = [request.write(memoryview(stream)[:50]), request.write(bytearray(stream[50:]))]
        assert usage_in(b"".join(pieces) + request.end())["prompt_tokens"] == PROMPT_TOKENS


def test_bytes_that_do_not_change_are_not_copied(cache: satchel.PromptCache) -> None:
    with begin(cache) as request:
        request.body(chat_body())
        request.response(200, content_type="text/html")
        page = b"<html>" * 100
        assert request.write(page) is page


def test_the_result_counts_the_time_in_the_library(cache: satchel.PromptCache) -> None:
    result = put_through(cache, chat_body(), json_response())[1]
    assert result.library_ns > 0
    assert result.prompt_tokens == PROMPT_TOKENS
    assert result.classified
    assert result.active
    assert result.saw_usage
    assert not result.degraded
    assert not result.saw_error
