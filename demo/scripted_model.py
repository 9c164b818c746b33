"""What the scripted upstream says and what it counts: no network, the same answer every time.

An answer depends on the messages alone, so that two requests with the same prompt get the same
bytes, one through a proxy and one past it. The counts are what a real engine would report: more
than four bytes' worth for a token, template overhead, and its own prefix cache in
`cached_tokens`, in steps of 128 as OpenAI reports them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Json = Any

CREATED = 1763712000  # the same in every answer

BYTES_PER_TOKEN = 3.6
TOKENS_PER_MESSAGE = 4
TOKENS_PER_TOOL = 12
TOKENS_PER_PROMPT = 3

TEXT = (
    "I read the file and the failing test : the cursor is reset before the last page "
    "is written , so the final row is lost → I move the reset behind the flush and run the "
    "suite again . Naïve as it looks , it is the smallest change that holds ✓ "
)
WORDS = tuple(TEXT.split())

TOOL_CALLS_BEFORE_ANSWER = 2


def refused_marker(body: Json) -> str:
    """Where a body still carries cache_control; empty if nowhere. Strict backends refuse it."""
    if "cache_control" in body:
        return "cache_control"
    for i, tool in enumerate(_list(body.get("tools"))):
        if isinstance(tool, dict) and "cache_control" in tool:
            return f"tools[{i}].cache_control"
    for i, message in enumerate(_list(body.get("messages"))):
        for key in ("content", "tool_calls"):
            for j, part in enumerate(_list(message.get(key))):
                if isinstance(part, dict) and "cache_control" in part:
                    return f"messages[{i}].{key}[{j}].cache_control"
    return ""


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _compact(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


# ------------------------------------------------------------------- counting


def _prompt_pieces(body: Json) -> Iterator[tuple[str, int]]:
    """The texts an engine's template puts into the prompt, each with its overhead in tokens."""
    yield "", TOKENS_PER_PROMPT
    for tool in _list(body.get("tools")):
        yield _compact(tool), TOKENS_PER_TOOL
    for message in _list(body.get("messages")):
        yield str(message.get("role", "")), TOKENS_PER_MESSAGE
        content = message.get("content")
        if isinstance(content, str):
            yield content, 0
        for part in _list(content):
            yield (part.get("text") or "") if isinstance(part, dict) else "", 0
        for call in _list(message.get("tool_calls")):
            yield _compact(call), TOKENS_PER_TOOL


def prompt_token_count(body: Json) -> int:
    """Tokens of the prompt, by its bytes."""
    pieces = list(_prompt_pieces(body))
    size = sum(len(text.encode()) for text, _ in pieces)
    return math.ceil(size / BYTES_PER_TOKEN) + sum(overhead for _, overhead in pieces)


class EnginePrefixCache:
    """The engine's own automatic prefix cache: which leading blocks of a prompt it has seen."""

    TOKENS_PER_BLOCK = 128
    LEAST_REPORTED = 1024
    CAPACITY = 65536

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def cached_tokens(self, body: Json) -> int:
        """Tokens of this prompt that an earlier one began with; remembers this one."""
        text = "\n".join(text for text, _ in _prompt_pieces(body)).encode()
        step = int(self.TOKENS_PER_BLOCK * BYTES_PER_TOKEN)
        chain = hashlib.sha256(str(body.get("model")).encode())
        blocks, still_known = 0, True
        for start in range(0, len(text) - step, step):
            chain.update(text[start : start + step])
            key = chain.digest()
            still_known = still_known and key in self._seen
            blocks += still_known
            self._seen[key] = None
            self._seen.move_to_end(key)
        while len(self._seen) > self.CAPACITY:
            self._seen.popitem(last=False)
        tokens = blocks * self.TOKENS_PER_BLOCK
        return tokens if tokens >= self.LEAST_REPORTED else 0

    def clear(self) -> None:
        """Forgets every prompt."""
        self._seen.clear()


# ------------------------------------------------------------------ answering


@dataclass(frozen=True)
class Answer:
    """One scripted answer, cut into tokens: text, or one tool call."""

    id: str
    model: str
    text: list[str]
    tool_call_id: str = ""
    tool_name: str = ""
    arguments: tuple[str, ...] = ()

    @property
    def finish_reason(self) -> str:
        """Why it ended, in OpenAI's words."""
        return "tool_calls" if self.tool_name else "stop"

    @property
    def completion_tokens(self) -> int:
        """Tokens of the answer: one a fragment, and the name of a tool."""
        return len(self.text) + len(self.arguments) + bool(self.tool_name)

    def deltas(self) -> Iterator[Json]:
        """The answer as a stream brings it."""
        yield {"role": "assistant", "content": ""}
        for token in self.text:
            yield {"content": token}
        if self.tool_name:
            function = {"name": self.tool_name, "arguments": ""}
            call = {"id": self.tool_call_id, "type": "function", "function": function}
            yield {"tool_calls": [{"index": 0, **call}]}
            for fragment in self.arguments:
                yield {"tool_calls": [{"index": 0, "function": {"arguments": fragment}}]}

    def message(self) -> Json:
        """The answer as one message."""
        message: Json = {"role": "assistant", "content": "".join(self.text)}
        if self.tool_name:
            function = {"name": self.tool_name, "arguments": "".join(self.arguments)}
            call = {"id": self.tool_call_id, "type": "function", "function": function}
            message["tool_calls"] = [call]
        return message


def answer(body: Json, tokens: int | None = None) -> Answer:
    """The answer to a prompt: two tool calls where there are tools, then a text.

    With `tokens`, a text of so many.
    """
    messages = _list(body.get("messages"))
    digest = hashlib.sha256(_compact(messages).encode()).hexdigest()
    ident, model = f"chatcmpl-{digest[:24]}", str(body.get("model", ""))
    tools = _list(body.get("tools"))
    results = 0
    for message in reversed(messages):
        if message.get("role") == "user":
            break
        results += message.get("role") == "tool"
    if tokens is None and tools and results < TOOL_CALLS_BEFORE_ANSWER:
        name = tools[int(digest[:8], 16) % len(tools)]["function"]["name"]
        path = f"src/page_{int(digest[8:12], 16) % 100}.cpp"
        fragments = ('{"', "path", '": "', *path.partition("_"), '", "', "n", '": ', "1", "}")
        return Answer(ident, model, _words(6, digest), f"call_{digest[24:40]}", name, fragments)
    return Answer(ident, model, _words(tokens if tokens is not None else 24, digest))


def _words(count: int, digest: str) -> list[str]:
    start = int(digest[12:16], 16)
    return [WORDS[(start + i) % len(WORDS)] + " " for i in range(count)]


def usage(body: Json, completion_tokens: int, cached_tokens: int) -> Json:
    """The usage object of an answer."""
    prompt_tokens = prompt_token_count(body)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def chunk(reply: Answer, choices: list[Json], usage_object: Json | None) -> Json:
    """One frame of a stream."""
    return {
        "id": reply.id,
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": reply.model,
        "system_fingerprint": "fp_scripted",
        "choices": choices,
        "usage": usage_object,
    }


def completion(reply: Answer, usage_object: Json | None) -> Json:
    """The whole answer as one object."""
    choice = {
        "index": 0,
        "message": reply.message(),
        "logprobs": None,
        "finish_reason": reply.finish_reason,
    }
    whole = {
        "id": reply.id,
        "object": "chat.completion",
        "created": CREATED,
        "model": reply.model,
        "system_fingerprint": "fp_scripted",
        "choices": [choice],
    }
    return whole if usage_object is None else {**whole, "usage": usage_object}
