"""Classification on the library's threads: an event loop and its clients never wait for it."""

from __future__ import annotations

import asyncio
import gc
import select
import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING

import pytest
import satchel
from conftest import CONFIG, TARGET, chat_body, json_response, sse_response
from satchel import Commit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class SlowTokenizer:
    """Ten tokens a segment, as soon as it may go on."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.go_on = threading.Event()
        self.threads: set[int] = set()

    def versions(self, model: str) -> dict[str, str | tuple[str, str]]:
        return {model: "v"}

    def tokenize(self, model: str, segments: Sequence[str]) -> Sequence[int]:  # noqa: ARG002
        self.threads.add(threading.get_ident())
        self.asked.set()
        assert self.go_on.wait(60)
        return [10] * len(segments)


@pytest.fixture
def tokenizer() -> Iterator[SlowTokenizer]:
    slow = SlowTokenizer()
    yield slow
    slow.go_on.set()


def begin(cache: satchel.PromptCache, *, stream: bool = True) -> satchel.Request:
    request = cache.request(method="POST", target=TARGET, api_key="sk-1")
    assert request is not None
    assert request.body(chat_body(stream=stream)) is not None
    return request


async def turns_of_the_loop(until: threading.Event) -> None:
    end = time.monotonic() + 60
    while not until.is_set():
        assert time.monotonic() < end
        await asyncio.sleep(0.001)


FRAMES = [b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'] * 3


def test_nothing_waits_for_a_slow_tokenizer_but_the_usage(tokenizer: SlowTokenizer) -> None:
    async def proxy(cache: satchel.PromptCache) -> bytes:
        client = b""
        with begin(cache) as request:
            request.no_wait()
            waiting = asyncio.create_task(request.classify_async())
            await turns_of_the_loop(tokenizer.asked)
            request.response(200, content_type="text/event-stream")
            for frame in FRAMES:
                assert request.write(frame) == frame
                assert not request.pending
            client += request.write(sse_response())
            assert request.pending
            assert b'"usage"' not in client
            assert request.end() == b""
            assert request.pending
            assert not waiting.done()
            tokenizer.go_on.set()
            await waiting
            client += request.write(b"")
            assert not request.pending
            client += request.end()
            assert request.result.commit is Commit.HANDED_OVER
            assert request.result.creation_5m == 20
        return client

    with satchel.PromptCache(CONFIG, tokenizer=tokenizer) as cache:
        client = asyncio.run(proxy(cache))
    assert b'"cache_creation_input_tokens":20' in client
    assert client.endswith(b"data: [DONE]\n\n")
    assert threading.get_ident() not in tokenizer.threads


def test_the_usage_waits_no_longer_than_the_deadline(tokenizer: SlowTokenizer) -> None:
    with satchel.PromptCache({**CONFIG, "classify_deadline_ms": 200}, tokenizer=tokenizer) as cache:
        with begin(cache) as request:
            request.classify_start()
            request.response(200, content_type="text/event-stream")
            began = time.monotonic()
            client = request.write(sse_response()) + request.end()
            # The tokenizer is still held: nobody but the deadline ended this.
            assert time.monotonic() - began < 30
            assert client == sse_response()
            assert (request.result.active, request.result.commit) == (False, Commit.NOTHING)
        tokenizer.go_on.set()
        cache.flush()
        assert cache.index_counts.entries_written == 0


def test_a_loop_that_waits_is_woken_by_the_deadline(tokenizer: SlowTokenizer) -> None:
    async def ask(request: satchel.Request) -> None:
        await asyncio.wait_for(request.classify_async(), 30)

    config = {**CONFIG, "classify_deadline_ms": 100}
    with satchel.PromptCache(config, tokenizer=tokenizer) as cache, begin(cache) as request:
        asyncio.run(ask(request))
        assert not tokenizer.go_on.is_set()
        tokenizer.go_on.set()


def test_many_classifications_run_beside_each_other() -> None:
    async def ask(requests: list[satchel.Request]) -> None:
        await asyncio.gather(*(request.classify_async() for request in requests))

    with satchel.PromptCache({**CONFIG, "classify_threads": 3}) as cache:
        requests = [begin(cache) for _ in range(200)]
        asyncio.run(ask(requests))
        for request in requests:
            request.classify()
            assert request.result.active
            request.close()


def test_one_that_is_cancelled_harms_nobody(tokenizer: SlowTokenizer) -> None:
    async def ask(request: satchel.Request) -> None:
        given_up = asyncio.create_task(request.classify_async())
        patient = asyncio.create_task(request.classify_async())
        await turns_of_the_loop(tokenizer.asked)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        tokenizer.go_on.set()
        await patient
        await request.classify_async()

    with satchel.PromptCache(CONFIG, tokenizer=tokenizer) as cache, begin(cache) as request:
        asyncio.run(ask(request))


def test_closing_a_request_wakes_who_awaits_it_and_waits_for_no_callback(
    tokenizer: SlowTokenizer,
) -> None:
    async def ask(cache: satchel.PromptCache) -> None:
        request = begin(cache)
        waiting = asyncio.create_task(request.classify_async())
        await turns_of_the_loop(tokenizer.asked)
        request.close()
        await asyncio.wait_for(waiting, 30)
        assert request.result.commit is Commit.VETO_ABORTED

    with satchel.PromptCache(CONFIG, tokenizer=tokenizer) as cache:
        asyncio.run(ask(cache))
        tokenizer.go_on.set()


def test_a_json_answer_is_kept_until_it_can_be_edited(tokenizer: SlowTokenizer) -> None:
    with (
        satchel.PromptCache(CONFIG, tokenizer=tokenizer) as cache,
        begin(cache, stream=False) as request,
    ):
        request.no_wait()
        request.response(200, content_type="application/json")
        assert request.write(json_response()) == b""
        assert request.end() == b""
        assert request.pending
        tokenizer.go_on.set()
        assert select.select([request], [], [], 60)[0] == [request]
        assert b'"cache_creation_input_tokens":20' in request.end()
        assert not request.pending


def test_the_order_of_calls_is_kept() -> None:
    with satchel.PromptCache(CONFIG) as cache:
        request = cache.request(method="POST", target=TARGET, api_key="sk-1")
        assert request is not None
        with request:
            for too_early in (request.classify_start, request.no_wait, request.fileno):
                with pytest.raises(satchel.StateError):
                    too_early()
            request.body(chat_body())
            request.classify_start()
            with pytest.raises(satchel.StateError):
                request.classify_start()
            asyncio.run(request.classify_async())


def test_a_request_that_is_dropped_in_a_callback_is_freed_later() -> None:
    dropped: list[satchel.Request] = []

    class Dropping(SlowTokenizer):
        def tokenize(self, model: str, segments: Sequence[str]) -> Sequence[int]:  # noqa: ARG002
            dropped.clear()
            gc.collect()
            return [10] * len(segments)

    with satchel.PromptCache(CONFIG, tokenizer=Dropping()) as cache:
        dropped.append(begin(cache))
        with begin(cache) as request:
            request.classify_start()
            request.classify()
        assert not dropped
        begin(cache).close()
        assert 'requests_total{outcome="aborted"} 2' in cache.metrics()


def test_a_program_ends_while_a_tokenizer_never_comes_back() -> None:
    program = textwrap.dedent(f"""
        import threading, satchel
        class Stuck:
            def versions(self, model):
                return {{model: "v"}}
            def tokenize(self, model, segments):
                asked.set()
                threading.Event().wait()
        asked = threading.Event()
        cache = satchel.PromptCache({CONFIG!r}, tokenizer=Stuck())
        request = cache.request(method="POST", target={TARGET!r}, api_key="sk-1")
        request.body({chat_body()!r})
        request.classify_start()
        assert asked.wait(60)
        print("done")
    """)
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "done\n"), ended.stderr
