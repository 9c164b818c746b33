"""The steps of a request, one at a time."""

from __future__ import annotations

import hashlib
import json

import pytest
import satchel
from conftest import (
    MODEL,
    PROMPT_TOKENS,
    QUESTION,
    SYSTEM,
    chat_body,
    json_response,
    sse_response,
    usage_in,
)
from satchel import CacheUsage, MarkerFault, UsageFilter

TOOL = {"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}}


def test_a_prompt_has_blocks_in_canonical_order(cache: satchel.PromptCache) -> None:
    body = json.loads(chat_body())
    body["tools"] = [TOOL]
    prompt = cache.parse(json.dumps(body).encode())
    assert [(block.role, block.message_index) for block in prompt.blocks] == [
        ("tool_definition", None),
        ("system", 0),
        ("user", 1),
    ]
    assert [block.text for block in prompt.blocks] == [
        '{"function":{"name":"f"},"type":"function"}',
        SYSTEM,
        QUESTION,
    ]
    tool = b'tool_definition\0{"function":{"name":"f"},"type":"function"}'
    assert prompt.blocks[0].hash == hashlib.sha256(tool).digest()


def test_breakpoints_know_their_prefix_in_wire_form(cache: satchel.PromptCache) -> None:
    body = json.loads(chat_body(ttl="1h"))
    body["tools"] = [TOOL, {"type": "function"}]
    body["messages"][1]["content"].append({"type": "text", "text": "and the date?"})
    breakpoints = cache.parse(json.dumps(body).encode()).breakpoints
    assert [(at.block, at.prefix) for at in breakpoints] == [
        (0, {"tools": 1}),
        (2, {"message": 0}),
        (3, {"message": 1, "block": 0}),
    ]
    assert [at.candidate_count for at in breakpoints] == [1, 3, 4]
    assert [at.tier for at in breakpoints][1:] == ["1h", "1h"]


def test_a_marker_at_fault_is_named(cache: satchel.PromptCache) -> None:
    for call in (cache.parse, cache.validate):
        with pytest.raises(satchel.MarkerError) as caught:
            call(chat_body(ttl="2h"))
        assert caught.value.reason is MarkerFault.INVALID_TTL
        assert isinstance(caught.value, ValueError)
    cache.validate(chat_body())


def test_what_is_not_json_is_a_json_error(cache: satchel.PromptCache) -> None:
    for call in (cache.parse, cache.validate, satchel.canonical_json, satchel.query_mark):
        with pytest.raises(satchel.JsonError):
            call(b'{"a": ')


def test_forward_removes_markers(cache: satchel.PromptCache) -> None:
    forwarded = cache.forward(chat_body())
    assert forwarded.changed
    assert forwarded.had_markers
    assert b"cache_control" not in forwarded.body
    plain = b'{"messages": []}'
    unchanged = cache.forward(plain)
    assert (unchanged.body, unchanged.changed, unchanged.had_markers) == (plain, False, False)
    assert unchanged.body is plain


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/v1?a=1", (False, None, "/v1?a=1")),
        ("/v1?cacheBreakpoint=lastUserMessage", (True, None, "/v1")),
        (b"/v1?cacheBreakpoint=lastUserMessage&b=2", (True, None, "/v1?b=2")),
        ("/v1?cacheBreakpoint=first", (False, "first", "/v1")),
        ("/v1?a=\udce9", (False, None, "/v1?a=\udce9")),
    ],
)
def test_the_query_says_whether_it_asks(
    target: str | bytes, expected: tuple[bool, str | None, str]
) -> None:
    query = satchel.query_breakpoint(target)
    assert (query.asked, query.unsupported, query.target) == expected


def test_query_mark_puts_a_marker_where_there_is_none() -> None:
    body = satchel.query_mark(b'{"messages": []}')
    assert json.loads(body)["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert satchel.query_mark(body) is body
    assert satchel.query_mark(b"[]") == b"[]"


def test_canonical_json_is_one_spelling() -> None:
    spelled = satchel.canonical_json(b' {"b": 1.50, "a": "\\u00e9", "b": 1e2} ')
    assert spelled == '{"a":"é","b":100.0}'.encode()
    assert satchel.canonical_json(memoryview(b"[ ]")) == b"[]"


def test_a_filter_writes_the_usage_into_json() -> None:
    usage_filter = UsageFilter("json", CacheUsage(read=30, creation_1h=70))
    answer = usage_filter.write(json_response()) + usage_filter.end()
    usage = usage_in(answer)
    assert usage["cache_read_input_tokens"] == 30
    assert usage["cache_creation"]["ephemeral_1h_input_tokens"] == 70
    assert usage_filter.changed
    assert usage_filter.saw_usage
    assert not usage_filter.saw_error


@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_a_filter_writes_the_usage_into_a_stream(chunk: int) -> None:
    usage_filter = UsageFilter("sse", CacheUsage(read=30))
    stream = sse_response()
    pieces = [usage_filter.write(stream[i : i + chunk]) for i in range(0, len(stream), chunk)]
    assert usage_in(b"".join(pieces) + usage_filter.end())["cache_read_input_tokens"] == 30


def test_a_filter_without_usage_removes_the_providers() -> None:
    usage_filter = UsageFilter("json")
    given = b'{"usage": {"prompt_tokens": 1, "cache_discount": 0.5}}'
    answer = usage_filter.write(given) + usage_filter.end()
    assert json.loads(answer) == {"usage": {"prompt_tokens": 1}}


def test_a_filter_notices_an_error_frame() -> None:
    usage_filter = UsageFilter("sse")
    frame = b'data: {"error": {"message": "overloaded"}}\n\n'
    assert usage_filter.write(frame) + usage_filter.end() == frame
    assert usage_filter.saw_error
    assert not usage_filter.changed


def test_a_filter_has_two_kinds() -> None:
    with pytest.raises(ValueError, match="'json' or 'sse'"):
        UsageFilter("xml")  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [-1, 2**64, 1.5])
def test_counts_are_unsigned_integers(count: float) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        UsageFilter("json", CacheUsage(read=count))  # type: ignore[arg-type]


def test_an_outcome_is_read_only_once_committed(cache: satchel.PromptCache) -> None:
    outcome = cache.classify(chat_body(), model=MODEL, principal="anna")
    assert outcome.active
    assert not outcome.degraded
    assert (outcome.read, outcome.creation_5m, outcome.refresh) == (0, PROMPT_TOKENS, None)
    assert (outcome.principal, outcome.model) == ("anna", MODEL)
    assert outcome.tokenizer_version == "estimate-bytes4-1"
    prompt = cache.parse(chat_body())
    assert [entry.hash for entry in outcome.entries] == [
        prompt.blocks[at.block].hash for at in prompt.breakpoints
    ]
    assert outcome.entries[-1].cumulative_token_count == PROMPT_TOKENS
    assert cache.classify(chat_body(), model=MODEL, principal="anna").read == 0

    outcome.commit()
    outcome.commit()
    cache.flush()
    again = cache.classify(chat_body(), model=MODEL, principal="anna")
    assert (again.read, again.entries) == (PROMPT_TOKENS, ())
    assert again.refresh is not None
    assert again.refresh.hash == outcome.entries[-1].hash


def test_an_outcome_degrades_where_a_request_rejects(cache: satchel.PromptCache) -> None:
    outcome = cache.classify(chat_body(ttl="2h"), model=MODEL, principal="anna")
    assert outcome.degraded
    assert outcome.entries == ()


def test_forget_empties_the_index(cache: satchel.PromptCache) -> None:
    cache.classify(chat_body(), model=MODEL, principal="anna").commit()
    cache.flush(timeout=10)
    assert cache.index_counts.entries_written == 2
    cache.forget()
    assert cache.classify(chat_body(), model=MODEL, principal="anna").read == 0


def test_the_index_counts_what_it_does(cache: satchel.PromptCache) -> None:
    cache.classify(chat_body(), model=MODEL, principal="anna").commit()
    cache.flush()
    cache.classify(chat_body(), model=MODEL, principal="anna").commit()
    cache.flush()
    counts = cache.index_counts
    assert (counts.lookups, counts.hits, counts.lookup_failures) == (2, 1, 0)
    assert (counts.entries_written, counts.entries_refreshed) == (2, 1)
    assert (counts.entries_waiting, counts.entries_dropped) == (0, 0)
