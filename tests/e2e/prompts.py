"""Prompts whose counts are known, and what a client reads in the usage.

The built-in tokenizer counts a token for four bytes of text; texts here are whole tokens long.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

Json = Any

MODEL = "m-1"


def text(tokens: int, seed: str = "") -> str:
    """A text of so many tokens; another seed, another text."""
    line = f"[{seed}] the cursor is reset before the last page is written, so it is lost. "
    return (line * (tokens * 4 // len(line) + 1))[: tokens * 4]


def marker(ttl: str | None = None) -> Json:
    return {"type": "ephemeral"} if ttl is None else {"type": "ephemeral", "ttl": ttl}


def marked(content: str, ttl: str | None = None) -> Json:
    """A message's content: one text block with a breakpoint on it."""
    return [{"type": "text", "text": content, "cache_control": marker(ttl)}]


def message(role: str, content: Json) -> Json:
    return {"role": role, "content": content}


def conversation(seed: str, system_tokens: int = 2000, user_tokens: int = 100) -> list[Json]:
    """A system prompt (1h) and a question (5m), a breakpoint on each."""
    return [
        message("system", marked(text(system_tokens, seed), "1h")),
        message("user", marked(text(user_tokens, seed + " question"), "5m")),
    ]


def tool(name: str, description_tokens: int = 300) -> Json:
    parameters = {"type": "object", "properties": {"path": {"type": "string"}}}
    description = text(description_tokens, name)
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


def canonical_bytes(value: Json) -> int:
    """How many bytes a tool counts for."""
    compact = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return len(compact.encode())


def without_markers(value: Json) -> Json:
    if isinstance(value, dict):
        return {k: without_markers(v) for k, v in value.items() if k != "cache_control"}
    if isinstance(value, list):
        return [without_markers(item) for item in value]
    return value


@dataclass(frozen=True)
class Counts:
    """What the cache made of a prompt, as its usage says."""

    read: int = 0
    created_5m: int = 0
    created_1h: int = 0
    created_24h: int = 0

    @property
    def created(self) -> int:
        return self.created_5m + self.created_1h + self.created_24h


ZERO = Counts()


def counts(usage: Json) -> Counts:
    """Reads a usage object: a dict, or one of the openai client's. All its numbers must agree."""
    found = usage if isinstance(usage, dict) else usage.model_dump()
    tiers = found["cache_creation"]
    result = Counts(
        found["cache_read_input_tokens"],
        tiers["ephemeral_5m_input_tokens"],
        tiers["ephemeral_1h_input_tokens"],
        tiers["ephemeral_24h_input_tokens"],
    )
    assert found["prompt_tokens_details"]["cached_tokens"] == result.read
    assert found["cache_creation_input_tokens"] == result.created
    assert found["prompt_tokens"] >= result.read + result.created
    return result
