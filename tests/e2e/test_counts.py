"""What a client of a chat model reads in its usage."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asking import ask
from hosts import Host, StartHost, Upstream
from prompts import (
    ZERO,
    Counts,
    canonical_bytes,
    conversation,
    marked,
    marker,
    message,
    text,
    tool,
    without_markers,
)

STREAMED_OR_NOT = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@STREAMED_OR_NOT
def test_first_turn_is_created_and_the_second_read(host: Host, stream: bool) -> None:
    client = host.client()
    messages = conversation("a")
    first = ask(client, messages, stream=stream)
    assert first.counts == Counts(created_1h=2000, created_5m=100)

    more = text(60, "more")
    history = [*without_markers(messages), first.message, message("user", marked(more))]
    second = ask(client, history, stream=stream)
    new_bytes = len(first.message["content"].encode()) + len(more)
    assert second.counts == Counts(read=2100, created_5m=new_bytes // 4)


@STREAMED_OR_NOT
def test_the_same_prompt_again_is_read_in_full(host: Host, stream: bool) -> None:
    client = host.client()
    ask(client, conversation("a"), stream=stream)
    assert ask(client, conversation("a"), stream=stream).counts == Counts(read=2100)


def test_what_was_streamed_is_read_when_it_is_not(host: Host) -> None:
    client = host.client()
    ask(client, conversation("a"), stream=True)
    assert ask(client, conversation("a"), stream=False).counts == Counts(read=2100)


@STREAMED_OR_NOT
def test_creation_is_counted_by_tier(host: Host, stream: bool) -> None:
    tools = [tool("read_file"), {**tool("run_tests"), "cache_control": marker("24h")}]
    tool_bytes = sum(canonical_bytes(entry) for entry in without_markers(tools))
    answer = ask(host.client(), conversation("a"), stream=stream, tools=tools)
    at_tools, at_system, at_user = (
        tool_bytes // 4,
        (tool_bytes + 8000) // 4,
        (tool_bytes + 8400) // 4,
    )
    assert answer.counts == Counts(
        created_24h=at_tools, created_1h=at_system - at_tools, created_5m=at_user - at_system
    )


@STREAMED_OR_NOT
def test_an_agents_tool_calls_are_part_of_the_prefix(host: Host, stream: bool) -> None:
    client = host.client()
    tools = [tool("read_file")]
    messages = conversation("a")
    read = 0
    for _ in range(3):
        answer = ask(client, messages, stream=stream, tools=tools)
        assert answer.counts.read == read
        assert answer.counts.created > 0
        read = answer.counts.read + answer.counts.created
        messages = [*without_markers(messages), answer.message]
        for call in answer.message.get("tool_calls", []):
            result = marked(text(50, call["id"]))
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
    assert messages[-1]["role"] == "assistant"


@STREAMED_OR_NOT
def test_a_prefix_under_the_minimum_is_not_cached(host: Host, stream: bool) -> None:
    client = host.client()
    for _ in range(2):
        answer = ask(client, conversation("a", 1000, 23), stream=stream)
        assert answer.counts == ZERO
    assert ask(client, conversation("b", 1000, 24), stream=stream).counts.created == 1024


def test_the_minimum_is_a_models_own(start_host: StartHost) -> None:
    models = {"small": {"min_prefix_tokens": 10}, "*": {"min_prefix_tokens": 5000}}
    client = start_host(config={"models": models}).client()
    assert ask(client, conversation("a", 20, 5), model="small").counts.created == 25
    assert ask(client, conversation("a", 4000, 5), model="other").counts == ZERO


@STREAMED_OR_NOT
def test_a_prompt_without_markers_has_zero_counts(host: Host, stream: bool) -> None:
    for _ in range(2):
        answer = ask(host.client(), without_markers(conversation("a")), stream=stream)
        assert answer.counts == ZERO


@STREAMED_OR_NOT
def test_a_marker_beside_the_messages_marks_the_last_block(host: Host, stream: bool) -> None:
    extra: Any = {"extra_body": {"cache_control": marker("1h")}}
    messages = without_markers(conversation("a"))
    assert ask(host.client(), messages, stream=stream, **extra).counts == Counts(created_1h=2100)
    assert ask(host.client(), messages, stream=stream, **extra).counts == Counts(read=2100)


@STREAMED_OR_NOT
def test_the_query_marks_the_last_block_for_an_hour(
    host: Host, upstream: Upstream, stream: bool
) -> None:
    query = {"a": "1", "cacheBreakpoint": "lastUserMessage", "z": "2"}
    messages = without_markers(conversation("a"))
    answer = ask(host.client(), messages, stream=stream, extra_query=query)
    assert answer.counts == Counts(created_1h=2100)
    assert upstream.requests()[-1]["target"] == "/v1/chat/completions?a=1&z=2"
    assert ask(host.client(), messages, stream=stream, extra_query=query).counts.read == 2100


def test_a_marker_without_a_ttl_gets_the_configured_one(start_host: StartHost) -> None:
    client = start_host(config={"default_ttl": "1h"}).client()
    answer = ask(client, [message("user", marked(text(1500)))])
    assert answer.counts == Counts(created_1h=1500)


def test_entries_belong_to_one_api_key_and_one_model(host: Host) -> None:
    ask(host.client("sk-one"), conversation("a"))
    assert ask(host.client("sk-two"), conversation("a")).counts.read == 0
    assert ask(host.client("sk-one"), conversation("a"), model="m-2").counts.read == 0
    assert ask(host.client("sk-one"), conversation("a")).counts.read == 2100


def test_a_change_at_the_beginning_reads_nothing(host: Host) -> None:
    ask(host.client(), conversation("a"))
    changed = conversation("a")
    changed[0]["content"][0]["text"] = "X" + changed[0]["content"][0]["text"][1:]
    assert ask(host.client(), changed).counts == Counts(created_1h=2000, created_5m=100)


def test_telemetry_does_not_count_and_can_be_stripped(
    start_host: StartHost, upstream: Upstream
) -> None:
    config = {"telemetry": {"prefixes": ["billing-header:"], "strip": True}}
    client = start_host(config=config).client()
    for turn, expected in enumerate([Counts(created_5m=2000), Counts(read=2000)]):
        noise = {"type": "text", "text": f"  billing-header: turn={turn}"}
        system = message("system", [noise, *marked(text(2000))])
        assert ask(client, [system, message("user", "Hi")]).counts == expected
        assert "billing-header" not in upstream.requests()[-1]["body"]


@STREAMED_OR_NOT
def test_only_the_markers_are_taken_from_the_body(
    memory_host: Host, upstream: Upstream, stream: bool
) -> None:
    tools: list[Any] = [{**tool("read_file"), "cache_control": marker()}]
    tools[0]["function"]["parameters"]["properties"]["cache_control"] = {"type": "string"}
    messages = conversation("a")
    ask(memory_host.client(), messages, stream=stream, tools=tools, temperature=0.25)
    forwarded = upstream.last_body()
    if stream:
        assert forwarded.pop("stream_options") == {"include_usage": True}
    expected_tools = [{key: tools[0][key] for key in ("type", "function")}]
    assert forwarded.pop("tools") == expected_tools
    assert forwarded["messages"] == without_markers(messages)
    assert forwarded["temperature"] == 0.25


@STREAMED_OR_NOT
def test_all_else_in_the_answer_is_the_upstreams(
    memory_host: Host, upstream: Upstream, stream: bool
) -> None:
    messages = conversation("a")
    options: Any = {"stream_options": {"include_usage": True}} if stream else {}
    tools = [tool("read_file")]
    through = ask(memory_host.client(), messages, stream=stream, tools=tools)
    past = ask(upstream.client(), without_markers(messages), stream=stream, tools=tools, **options)
    assert through.message == past.message
    assert through.finish_reason == past.finish_reason == "tool_calls"
    for name in ("prompt_tokens", "completion_tokens", "total_tokens", "completion_tokens_details"):
        assert through.usage[name] == past.usage[name]


@STREAMED_OR_NOT
def test_the_engines_own_cached_tokens_are_replaced(memory_host: Host, stream: bool) -> None:
    client = memory_host.client()
    messages = without_markers(conversation("a"))
    for _ in range(2):  # the second time the engine reports its own cache
        answer = ask(client, messages, stream=stream, script="usage=provider")
        assert answer.counts == ZERO
        assert not {"prompt_cache_hit_tokens", "prompt_cache_miss_tokens", "cache_discount"} & set(
            answer.usage
        )


@STREAMED_OR_NOT
def test_a_disabled_models_provider_accounting_is_scrubbed(
    start_host: StartHost, stream: bool
) -> None:
    client = start_host(config={"models": {"*": {"enabled": False}}}).client()
    for _ in range(2):
        usage = ask(client, conversation("a"), stream=stream, script="usage=provider").usage
        assert usage["prompt_tokens_details"]["cached_tokens"] == 0
        assert not [name for name in usage if "cache" in name]


@STREAMED_OR_NOT
@pytest.mark.parametrize(
    "config",
    [{"models": {"*": {"enabled": False}}, "scrub": False}, {"inject": False}],
    ids=["scrub", "inject"],
)
def test_both_can_be_switched_off_and_the_providers_accounting_passes(
    start_host: StartHost, upstream: Upstream, stream: bool, config: Any
) -> None:
    client = start_host(config=config).client()
    messages = without_markers(conversation("a"))
    options: Any = {"stream_options": {"include_usage": True}} if stream else {}
    through = ask(client, messages, stream=stream, script="usage=provider", **options)
    upstream.server.get("/control/reset", "POST")  # so that the engine's cache is as it was
    past = ask(upstream.client(), messages, stream=stream, script="usage=provider", **options)
    assert json.dumps(through.usage) == json.dumps(past.usage)
