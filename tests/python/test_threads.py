"""Many threads, one cache; and Python runs on while the library works."""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import satchel
from conftest import (
    CONFIG,
    MODEL,
    PROMPT_TOKENS,
    begin,
    chat_body,
    json_response,
    put_through,
    sse_response,
    usage_in,
)

THREADS = 8
PATIENCE = 30  # seconds: only a failed test waits that long


def test_eight_threads_share_a_cache(cache: satchel.PromptCache) -> None:
    def client(number: int) -> list[int]:
        reads = []
        for _ in range(20):
            answer, result = put_through(
                cache,
                chat_body(stream=True),
                sse_response(),
                content_type="text/event-stream",
                api_key=f"sk-{number}",
                chunk=37,
            )
            assert usage_in(answer)["cache_read_input_tokens"] == result.read
            reads.append(result.read)
        return reads

    with ThreadPoolExecutor(THREADS) as pool:
        for reads in pool.map(client, range(THREADS)):
            assert reads == [0] + [PROMPT_TOKENS] * 19


def test_a_callback_that_waits_holds_nobody_else_up() -> None:
    """A thread is kept inside the library, in a callback, until another has been through it."""
    waiting = threading.Event()
    go_on = threading.Event()

    def principals(api_key: str) -> str:
        if api_key == "sk-slow":
            waiting.set()
            assert go_on.wait(PATIENCE)
        return api_key

    with (
        satchel.PromptCache(CONFIG, principals=principals) as cache,
        ThreadPoolExecutor(1) as pool,
    ):
        slow = pool.submit(put_through, cache, chat_body(), json_response(), api_key="sk-slow")
        assert waiting.wait(PATIENCE)
        quick = put_through(cache, chat_body(), json_response(), api_key="sk-quick")
        assert not slow.done()
        go_on.set()
        assert quick[1].creation_5m == slow.result(PATIENCE)[1].creation_5m == PROMPT_TOKENS


def test_threads_meet_inside_the_library() -> None:
    """Each callback waits for all the others: with the lock held by any call, none would come."""
    together = threading.Barrier(THREADS)

    def principals(api_key: str) -> str:
        together.wait(PATIENCE)
        return api_key

    with satchel.PromptCache(CONFIG, principals=principals) as cache:

        def classify(number: int) -> bool:
            key = f"sk-{number}"
            return cache.classify(chat_body(), model=MODEL, api_key=key).active

        with ThreadPoolExecutor(THREADS) as pool:
            assert all(pool.map(classify, range(THREADS)))


@pytest.mark.parametrize("what", ["write", "body", "result", "close", "abort"])
def test_a_second_thread_inside_a_request_is_refused(what: str) -> None:
    inside = threading.Event()
    go_on = threading.Event()

    def principals(api_key: str) -> str:
        inside.set()
        assert go_on.wait(PATIENCE)
        return api_key

    with satchel.PromptCache(CONFIG, principals=principals) as cache, begin(cache) as request:
        request.body(chat_body())
        calls = {
            "write": lambda: request.write(b"x"),
            "body": lambda: request.body(b"{}"),
            "result": lambda: request.result,
            "close": request.close,
            "abort": request.abort,
        }
        with ThreadPoolExecutor(1) as pool:
            classifying = pool.submit(request.classify)
            assert inside.wait(PATIENCE)
            try:
                with pytest.raises(satchel.BusyError):
                    calls[what]()
            finally:
                go_on.set()
            classifying.result(PATIENCE)
        assert request.result.classified


def test_two_threads_that_write_at_once_never_get_each_others_bytes(
    cache: satchel.PromptCache,
) -> None:
    """What the library gives is only lent until the next call, which the other thread may make."""
    request = begin(cache)
    request.body(chat_body(stream=True))
    request.response(200, content_type="text/event-stream")
    refused = []

    def writer(name: str) -> None:
        usage = {"name": name * 200, "cache_discount": 1}  # edited: in the library's own memory
        frame = b"data: " + json.dumps({"usage": usage}).encode() + b"\n\n"
        for _ in range(5000):
            try:
                out = request.write(frame)
            except satchel.BusyError:
                refused.append(name)
            else:
                assert json.loads(out[6:])["usage"]["name"] == name * 200

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(writer, name) for name in "ab"]:
                done.result(PATIENCE)
    finally:
        sys.setswitchinterval(interval)
    assert len(refused) < 10_000
    request.close()


def test_threads_may_take_turns_with_a_request(cache: satchel.PromptCache) -> None:
    request = begin(cache)
    for call in (
        lambda: request.body(chat_body()),
        request.classify,
        lambda: request.response(200),
        lambda: request.write(json_response()),
        request.end,
        request.close,
    ):
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
    assert request.result.commit is satchel.Commit.HANDED_OVER


def test_closing_waits_for_the_calls_inside() -> None:
    inside = threading.Event()
    go_on = threading.Event()

    def principals(api_key: str) -> str:
        inside.set()
        assert go_on.wait(PATIENCE)
        return api_key

    cache = satchel.PromptCache(CONFIG, principals=principals)
    with ThreadPoolExecutor(2) as pool:
        outcome = pool.submit(cache.classify, chat_body(), model=MODEL, api_key="sk-1")
        assert inside.wait(PATIENCE)
        closing = pool.submit(cache.close)
        go_on.set()
        closing.result(PATIENCE)
        assert outcome.result(PATIENCE).active
    assert cache.closed


def test_a_cache_closed_under_busy_threads_leaves_them_an_exception() -> None:
    cache = satchel.PromptCache(CONFIG)
    started = threading.Barrier(THREADS + 1)

    def client(number: int) -> None:
        started.wait(PATIENCE)
        while True:
            put_through(cache, chat_body(), json_response(), api_key=f"sk-{number}", chunk=50)

    with ThreadPoolExecutor(THREADS) as pool:
        clients = [pool.submit(client, number) for number in range(THREADS)]
        started.wait(PATIENCE)
        cache.close()
        for future in clients:
            with pytest.raises(satchel.ClosedError):
                future.result(PATIENCE)
