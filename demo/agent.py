"""An agent as the demo plays it: its growing request body, its markers, and one call to a host."""

from __future__ import annotations

import copy
import gzip
import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = Any

SAMPLE = Path(__file__).resolve().parents[1] / "bench" / "samples" / "agent_request_61k.json.gz"

TASKS = [
    "The export drops the last row of every page. Find out why and fix it.",
    "Good. Add a test that fails without the fix.",
    "Now the same for the import, which shares the cursor.",
    "Write the entry for the changelog, two lines.",
    "The build warns about an unused variable since your first change.",
    "Rename it where it is used as the page index, and nowhere else.",
]


class CallError(Exception):
    """The host did not answer as it should."""


@dataclass(frozen=True)
class Usage:
    """The usage object of an answer, as far as the cache is concerned."""

    prompt: int
    read: int
    created_5m: int
    created_1h: int
    created_24h: int

    @staticmethod
    def read_from(usage: Json) -> Usage:
        """Reads it. Raises CallError if the cache's fields are missing."""
        try:
            tiers = usage["cache_creation"]
            return Usage(
                usage["prompt_tokens"],
                usage["cache_read_input_tokens"],
                tiers["ephemeral_5m_input_tokens"],
                tiers["ephemeral_1h_input_tokens"],
                tiers["ephemeral_24h_input_tokens"],
            )
        except (KeyError, TypeError) as missing:
            shown = json.dumps(usage)
            raise CallError(f"usage says nothing about the cache ({missing}): {shown}") from None

    @property
    def created(self) -> int:
        """Created tokens of all tiers."""
        return self.created_5m + self.created_1h + self.created_24h


class Agent:
    """A conversation with tools that grows by what the model answers.

    The system prompt and the tools are those of a recorded request. Markers stand where agents
    for Claude set them: on the last tool, on the system prompt, and on the newest message, whose
    marker moves along with the conversation. The first two hold for an hour, the last for five
    minutes; longer ones come first, as Anthropic demands.
    """

    def __init__(self) -> None:
        sample = json.loads(gzip.decompress(SAMPLE.read_bytes()))
        self._model: str = sample["model"]
        self._tools: list[Json] = without_markers(sample["tools"])
        self._messages: list[Json] = without_markers(sample["messages"][:1])
        self._tool_output: str = sample["messages"][3]["content"]
        self._tasks = iter(TASKS * 20)
        _mark(self._tools[-1], "1h")
        _mark(self._messages[0]["content"][-1], "1h")
        self._ask()

    def body(self, *, stream: bool) -> bytes:
        """The request of the next turn."""
        messages = copy.deepcopy(self._messages)
        newest = messages[-1]
        if isinstance(newest["content"], str):
            newest["content"] = [{"type": "text", "text": newest["content"]}]
        _mark(newest["content"][-1], "5m")
        body = {"model": self._model, "stream": stream, "temperature": 0.7, "max_tokens": 4096}
        return json.dumps({**body, "tools": self._tools, "messages": messages}).encode()

    def take(self, answer: Json) -> None:
        """Adds the model's message, then the tool's result or the user's next task."""
        self._messages.append(answer)
        calls = answer.get("tool_calls") or []
        for call in calls:
            output = f"$ {call['function']['arguments']}\n{self._tool_output}"
            message = {"role": "tool", "tool_call_id": call["id"], "content": output}
            self._messages.append(message)
        if not calls:
            self._ask()

    def _ask(self) -> None:
        self._messages.append({"role": "user", "content": next(self._tasks)})


def _mark(block: Json, ttl: str) -> None:
    block["cache_control"] = {"type": "ephemeral", "ttl": ttl}


def without_markers(value: Json) -> Json:
    """A copy of a body, or a part of it, in which no marker stands."""
    if isinstance(value, dict):
        return {k: without_markers(v) for k, v in value.items() if k != "cache_control"}
    if isinstance(value, list):
        return [without_markers(item) for item in value]
    return value


def call(connection: http.client.HTTPConnection, body: bytes) -> tuple[Json, Usage]:
    """Sends a turn; returns the model's message and the usage. Raises CallError."""
    headers = {"Content-Type": "application/json", "Authorization": "Bearer sk-demo"}
    connection.request("POST", "/v1/chat/completions", body, headers)
    response = connection.getresponse()
    if response.status != 200:
        raise CallError(f"HTTP {response.status}: {response.read().decode('utf-8', 'replace')}")
    if response.getheader("Content-Type", "").startswith("text/event-stream"):
        return _gather(_events(response))
    whole = json.loads(response.read())
    return whole["choices"][0]["message"], Usage.read_from(whole.get("usage"))


def _events(response: http.client.HTTPResponse) -> Iterator[Json]:
    done = False
    for line in response:
        if line.startswith(b"data: [DONE]"):
            done = True
        elif line.startswith(b"data: "):
            yield json.loads(line[len(b"data: ") :])
    if not done:
        raise CallError("the stream ended without [DONE]")


def _gather(events: Iterator[Json]) -> tuple[Json, Usage]:
    message: Json = {"role": "assistant", "content": ""}
    usage = None
    for event in events:
        usage = event.get("usage") or usage
        for choice in event["choices"]:
            message["content"] += choice["delta"].get("content") or ""
            for part in choice["delta"].get("tool_calls") or []:
                _gather_call(message, part)
    return message, Usage.read_from(usage)


def _gather_call(message: Json, part: Json) -> None:
    calls = message.setdefault("tool_calls", [])
    if "id" in part:
        calls.append({key: part[key] for key in ("id", "type", "function")})
    else:
        calls[part["index"]]["function"]["arguments"] += part["function"]["arguments"]
