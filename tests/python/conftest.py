"""What the tests share: bodies and responses as a proxy sees them, and a cache for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import satchel

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[2]
TARGET = "/v1/chat/completions"
MODEL = "a-model"
# The built-in tokenizer counts a token for four bytes.
SYSTEM = "You are careful. " * 100  # 1,700 bytes: 425 tokens
QUESTION = "What is the time?!?!"  # 20 bytes: 5 tokens
SYSTEM_TOKENS = 425
PROMPT_TOKENS = 430
CONFIG: dict[str, Any] = {"models": {"*": {"enabled": True, "min_prefix_tokens": 1}}}


def marked(text: str, ttl: str = "5m") -> dict[str, Any]:
    marker = {"type": "ephemeral", "ttl": ttl}
    return {"type": "text", "text": text, "cache_control": marker}


def chat_body(*, stream: bool = False, ttl: str = "5m") -> bytes:
    """A system prompt of 425 tokens and a question of 5, a breakpoint on each."""
    return json.dumps(
        {
            "model": MODEL,
            "messages": [
                {"role": "system", "content": [marked(SYSTEM, ttl)]},
                {"role": "user", "content": [marked(QUESTION, ttl)]},
            ],
            "stream": stream,
        }
    ).encode()


def json_response(prompt_tokens: int = PROMPT_TOKENS) -> bytes:
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": 2}
    return json.dumps({"id": "1", "choices": [], "usage": usage}).encode()


def sse_response(prompt_tokens: int = PROMPT_TOKENS) -> bytes:
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": 2}
    frames: list[dict[str, Any]] = [
        {"choices": [{"delta": {"content": word}}]} for word in ("half", " past", " nine")
    ]
    frames.append({"choices": [], "usage": usage})
    return b"".join(b"data: %s\n\n" % json.dumps(frame).encode() for frame in frames) + (
        b"data: [DONE]\n\n"
    )


def usage_in(response: bytes) -> dict[str, Any]:
    """The usage of a JSON response, or of the last frame of a stream that has one."""
    if response.startswith(b"{"):
        return dict(json.loads(response)["usage"])
    frames = [line[6:] for line in response.splitlines() if line.startswith(b"data: {")]
    usages = [json.loads(frame)["usage"] for frame in frames if b'"usage"' in frame]
    return dict(usages[-1])


def begin(cache: satchel.PromptCache, *, api_key: str = "sk-1") -> satchel.Request:
    request = cache.request(method="POST", target=TARGET, api_key=api_key)
    assert request is not None
    return request


def put_through(
    cache: satchel.PromptCache,
    body: bytes,
    response: bytes,
    *,
    content_type: str = "application/json",
    status: int = 200,
    chunk: int | None = None,
    api_key: str = "sk-1",
) -> tuple[bytes, satchel.RequestResult]:
    """A request's whole life, the response cut into chunks of the given size."""
    with begin(cache, api_key=api_key) as request:
        assert request.body(body) is not None
        request.response(status, content_type=content_type)
        step = chunk or len(response)
        pieces = [request.write(response[i : i + step]) for i in range(0, len(response), step)]
        pieces.append(request.end())
        return b"".join(pieces), request.result


@pytest.fixture
def cache() -> Iterator[satchel.PromptCache]:
    with satchel.PromptCache(CONFIG) as opened:
        yield opened


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """What sys.unraisablehook gets while the test runs."""
    caught: list[BaseException] = []
    monkeypatch.setattr("sys.unraisablehook", lambda report: caught.append(report.exc_value))
    return caught
