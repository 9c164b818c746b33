"""200 streams at once: every one complete, its own, and byte for byte what the upstream sent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import openai
import wire
from hosts import StartHost, Upstream
from prompts import MODEL, ZERO, Counts, conversation, counts, without_markers

STREAMS = 200
SECONDS = 120.0
SHARED, OWN = range(0, STREAMS, 2), range(1, STREAMS, 2)


def prompt(number: int, turn: int) -> Any:
    """Half of them share their prefix, half have their own; the last block is never marked."""
    messages = conversation("shared" if number in SHARED else f"own {number}")
    question = {"type": "text", "text": f"stream {number} of turn {turn}"}
    messages[-1]["content"].append(question)
    return messages


def client_of(url: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-test", max_retries=0, timeout=60)


async def raw_stream(client: openai.AsyncOpenAI, messages: Any, script: str, **more: Any) -> bytes:
    """The bytes of a streamed answer, as the openai client receives them."""
    create = cast("Any", client.chat.completions.with_streaming_response.create)
    headers = {"x-upstream-script": script}
    async with create(
        model=MODEL, messages=messages, stream=True, extra_headers=headers, **more
    ) as response:
        assert response.status_code == 200
        return b"".join([part async for part in response.iter_bytes()])


async def through_the_host(url: str, upstream: Upstream, turn: int) -> list[bytes]:
    """All at once: no answer goes on before each of them has begun."""

    async def open_gate() -> None:
        while await asyncio.to_thread(upstream.waiting, "all") < STREAMS:
            await asyncio.sleep(0.02)
        await asyncio.to_thread(upstream.open_gate, "all")

    async with client_of(url) as client:
        streams = [
            raw_stream(client, prompt(number, turn), f"tokens={40 + number % 7},gate=all")
            for number in range(STREAMS)
        ]
        gathered = asyncio.gather(open_gate(), *streams)
        _, *results = await asyncio.wait_for(gathered, SECONDS)
    return cast("list[bytes]", results)


async def past_the_host(upstream: Upstream, turn: int) -> list[bytes]:
    """The same questions, one after the other."""
    options = {"stream_options": {"include_usage": True}}
    async with client_of(upstream.url) as client:
        return [
            await raw_stream(
                client,
                without_markers(prompt(number, turn)),
                f"tokens={40 + number % 7}",
                **options,
            )
            for number in range(STREAMS)
        ]


def compared(streams: list[bytes], expected: list[bytes]) -> list[Counts]:
    """Compares all but the usage; returns what each usage says."""
    for through, past in zip(streams, expected):
        assert through.endswith(b"data: [DONE]\n\n")
        assert wire.events_without_usage(through) == wire.events_without_usage(past)
        assert len(wire.usages(through)) == len(wire.usages(past)) == 1
    return [counts(wire.usages(stream)[0]) for stream in streams]


def test_200_parallel_streams_are_complete_and_correct(
    start_host: StartHost, upstream: Upstream, tmp_path: Path
) -> None:
    host = start_host(tmp_path / "index")
    streams = asyncio.run(through_the_host(host.server.url, upstream, 1))
    found = compared(streams, asyncio.run(past_the_host(upstream, 1)))
    assert [found[n] for n in OWN] == [Counts(created_1h=2000, created_5m=100)] * len(OWN)
    # Whoever ends first commits; who is classified later may read that.
    assert all(found[n].read + found[n].created == 2100 for n in SHARED)
    assert ZERO not in found
    host.settled_index()

    upstream.server.get("/control/reset", "POST")
    streams = asyncio.run(through_the_host(host.server.url, upstream, 2))
    found = compared(streams, asyncio.run(past_the_host(upstream, 2)))
    assert found == [Counts(read=2100)] * STREAMS
    index = host.settled_index()
    assert (index["lookup_failures"], index["entries_dropped"]) == (0, 0)
