"""One question through the openai client, streamed or not, with the same answer either way.

Streams are read with the asynchronous client: it reads a response to its end, where the
synchronous one hangs up as soon as it has seen [DONE]. What a proxy makes of that has a test of
its own; all others need to know whether the response had ended.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import openai
from prompts import MODEL, Counts, counts

Json = Any
Result = TypeVar("Result")

_loop = asyncio.new_event_loop()
threading.Thread(target=_loop.run_forever, daemon=True).start()
_twins: weakref.WeakKeyDictionary[openai.OpenAI, openai.AsyncOpenAI] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Answer:
    """What the client assembled."""

    message: Json
    finish_reason: str | None
    usage: Json

    @property
    def counts(self) -> Counts:
        return counts(self.usage)


def ask(
    client: openai.OpenAI,
    messages: list[Json],
    *,
    stream: bool = False,
    script: str = "",
    model: str = MODEL,
    **more: Any,
) -> Answer:
    """Asks; `script` tells the upstream what to do."""
    headers = {"x-upstream-script": script} if script else {}
    arguments = {"model": model, "messages": messages, "extra_headers": headers, **more}
    if stream:
        return _run(_assembled(_twin(client), arguments))
    whole = cast("Any", client.chat.completions.create)(**arguments)
    choice = whole.choices[0]
    message = choice.message.model_dump(exclude_none=True)
    return Answer(message, choice.finish_reason, _dumped(whole.usage))


def _run(question: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run_coroutine_threadsafe(question, _loop).result()


def _twin(client: openai.OpenAI) -> openai.AsyncOpenAI:
    if client not in _twins:
        _twins[client] = openai.AsyncOpenAI(
            base_url=client.base_url, api_key=client.api_key, max_retries=0, timeout=60
        )
    return _twins[client]


def _dumped(usage: Any) -> Json:
    return None if usage is None else usage.model_dump(exclude_unset=True)


async def _assembled(client: openai.AsyncOpenAI, arguments: Json) -> Answer:
    message: Json = {"role": "assistant", "content": ""}
    finish_reason = None
    usage = None
    create = cast("Any", client.chat.completions.create)
    async for chunk in await create(stream=True, **arguments):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            message["content"] += choice.delta.content or ""
            finish_reason = choice.finish_reason or finish_reason
            for part in choice.delta.tool_calls or []:
                calls = message.setdefault("tool_calls", [])
                if part.id is not None:
                    function = {"name": part.function.name, "arguments": ""}
                    calls.append({"id": part.id, "type": part.type, "function": function})
                calls[part.index]["function"]["arguments"] += part.function.arguments or ""
    return Answer(message, finish_reason, _dumped(usage))
