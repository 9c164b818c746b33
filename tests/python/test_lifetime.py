"""What ends when: collection, exit, fork, Ctrl-C."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import weakref
from pathlib import Path

import pytest
import satchel
from conftest import CONFIG, PROMPT_TOKENS, begin, chat_body, json_response, put_through

HERE = Path(__file__).parent


# What is registered before the import runs after the package has closed everything.
PREAMBLE = """
import atexit, os, sys, threading, time
at_the_very_end = []
atexit.register(lambda: [call() for call in at_the_very_end])
import satchel
from conftest import *
"""


def run_python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs a program that imports what these tests import, to its end."""
    return run_in_a_fresh_python(PREAMBLE + textwrap.dedent(code), *arguments)


def run_in_a_fresh_python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-Wignore::DeprecationWarning",  # newer Pythons warn of a fork beside threads
            "-c",
            textwrap.dedent(code),
            *map(str, arguments),
        ],
        check=False,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)])},
        text=True,
        timeout=120,
    )


def test_objects_can_be_referred_to_weakly_and_go(cache: satchel.PromptCache) -> None:
    request = begin(cache)
    reference = weakref.ref(request)
    assert weakref.ref(cache)() is cache
    del request
    gc.collect()
    assert reference() is None


def test_a_request_keeps_its_cache() -> None:
    cache = satchel.PromptCache(CONFIG)
    request = begin(cache)
    reference = weakref.ref(cache)
    del cache
    gc.collect()
    assert request.body(chat_body()) is not None
    kept = reference()
    assert kept is not None
    request.close()
    kept.close()


def test_a_cache_that_is_dropped_unclosed_warns_and_closes() -> None:
    released = []

    class Log:
        def __call__(self, *line: object) -> None:
            pass

        def __del__(self) -> None:
            released.append(True)

    cache = satchel.PromptCache(CONFIG, log=Log())
    with pytest.warns(ResourceWarning, match=r"unclosed <satchel\.PromptCache open"):
        del cache
    assert released == [True]


def test_closing_releases_every_callback_once() -> None:
    released: list[str] = []

    class Callback:
        def __init__(self, name: str) -> None:
            self.name = name

        def __call__(self, *_: object) -> object:
            return NotImplemented

        def versions(self, *_: object) -> object:
            return NotImplemented

        tokenize = versions

        def __del__(self) -> None:
            released.append(self.name)

    names = ["log", "clock", "monotonic", "principals", "models", "tokenizer"]
    cache = satchel.PromptCache(CONFIG, **{name: Callback(name) for name in names})  # type: ignore
    assert released == []
    cache.close()
    assert sorted(released) == sorted(names)
    released.clear()
    with pytest.raises(satchel.ConfigError):
        satchel.PromptCache({"no": 1}, **{name: Callback(name) for name in names})  # type: ignore
    gc.collect()
    assert sorted(released) == sorted(names)
    released.clear()
    with pytest.raises(satchel.ConfigError):
        satchel.PromptCache(
            log_level="loud",  # type: ignore[arg-type]
            **{name: Callback(name) for name in names},  # type: ignore[arg-type]
        )
    gc.collect()
    assert sorted(released) == sorted(names)


def test_many_caches_and_requests_come_and_go() -> None:
    for _ in range(50):
        with satchel.PromptCache(CONFIG) as cache:
            requests = [begin(cache) for _ in range(20)]
            for request in requests[::2]:
                request.body(chat_body())
            del requests, request


def test_an_open_cache_is_closed_at_exit_and_writes_what_it_was_handed(tmp_path: Path) -> None:
    config = {**CONFIG, "index": {"kind": "sqlite", "path": str(tmp_path / "index")}}
    done = run_python(
        """
        config = {**CONFIG, "index": {"kind": "sqlite", "path": sys.argv[1]}}
        cache = satchel.PromptCache(config, log=print, principals=lambda key: key)
        request = begin(cache)
        put_through(cache, chat_body(), json_response())
        keep = [cache, request, cache.classify(chat_body(), model="m"), satchel.UsageFilter("sse")]
        sys.modules["kept to the very end"] = keep
        """,
        tmp_path / "index",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with satchel.PromptCache(config, principals=lambda key: key) as cache:
        assert put_through(cache, chat_body(), json_response())[1].read == PROMPT_TOKENS


@pytest.mark.parametrize("stuck", ["threading.Event().wait()", "while True: time.sleep(0.001)"])
def test_the_exit_does_not_wait_for_a_thread_that_is_stuck_in_a_callback(stuck: str) -> None:
    """The second kind asks for Python's lock again and again, also when there is none to have."""
    done = run_python(
        """
        inside = threading.Event()

        def principals(key):
            inside.set()
            exec(sys.argv[1])

        cache = satchel.PromptCache(CONFIG, principals=principals)
        stuck = lambda: cache.classify(chat_body(), model="m", api_key="sk-1")
        threading.Thread(target=stuck, daemon=True).start()
        inside.wait()
        print("leaving")
        """,
        stuck,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")


def test_the_exit_survives_daemon_threads_at_work() -> None:
    for _ in range(5):
        done = run_python(
            """
            cache = satchel.PromptCache(CONFIG, principals=lambda key: key, clock=time.time_ns)
            working = threading.Barrier(5)

            def client(number):
                put_through(cache, chat_body(), json_response(), api_key=str(number))
                working.wait()
                try:
                    while True:
                        put_through(cache, chat_body(), json_response(), api_key=str(number))
                except satchel.ClosedError:
                    pass

            for number in range(4):
                threading.Thread(target=client, args=(number,), daemon=True).start()
            working.wait()
            """
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_after_the_exit_has_begun_calls_raise() -> None:
    done = run_python(
        """
        cache = satchel.PromptCache(CONFIG)
        request = begin(cache)

        def late():
            spell = lambda: satchel.canonical_json(b"[]")
            for call in (satchel.PromptCache, request.classify, spell):
                try:
                    call()
                except satchel.ClosedError as error:
                    print("the interpreter is exiting" in str(error), end=" ")
            request.close()
            print(cache.closed, request.closed)

        at_the_very_end.append(late)
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True True True True True\n", "")


def test_a_child_does_not_wait_for_the_threads_of_its_parent() -> None:
    done = run_python(
        """
        inside = threading.Event()
        go_on = threading.Event()

        def principals(key):
            inside.set()
            go_on.wait()

        cache = satchel.PromptCache(CONFIG, principals=principals)
        call = lambda: cache.classify(chat_body(), model="m", api_key="sk-1")
        thread = threading.Thread(target=call)
        thread.start()
        inside.wait()
        child = os.fork()
        if child == 0:
            own = satchel.PromptCache(CONFIG)
            at_the_very_end.append(lambda: print("closed:", own.closed))
            sys.exit(0)
        os.waitpid(child, 0)
        go_on.set()
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "closed: True\n", "")


def test_a_child_does_not_await_what_its_parent_started() -> None:
    done = run_python(
        """
        import asyncio

        go_on = threading.Event()
        cache = satchel.PromptCache(CONFIG, principals=lambda key: go_on.wait() and key)
        request = begin(cache)
        request.body(chat_body())
        request.classify_start()
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(asyncio.wait_for(request.classify_async(), 30))
            except satchel.ClosedError:
                os._exit(3)
            os._exit(4)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        go_on.set()
        asyncio.run(request.classify_async())
        request.close()
        cache.close()
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")


def test_a_child_process_opens_its_own() -> None:
    done = run_python(
        """
        cache = satchel.PromptCache(CONFIG)
        request = begin(cache)
        put_through(cache, chat_body(), json_response())
        child = os.fork()
        if child == 0:
            try:
                cache.parse(chat_body())
            except satchel.ClosedError as error:
                print(error.name)
            request.close()
            cache.close()
            with satchel.PromptCache(CONFIG) as own:
                print(put_through(own, chat_body(), json_response())[1].creation_5m)
            sys.exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        print(put_through(cache, chat_body(), json_response())[1].read)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    expected = ["ERR_FORKED", str(PROMPT_TOKENS), "7", str(PROMPT_TOKENS)]
    assert done.stdout.split() == expected


def test_ctrl_c_in_a_callback_reaches_the_program() -> None:
    done = run_python(
        """
        import signal
        # A shell has it ignored in what it runs in the background, these tests for instance.
        signal.signal(signal.SIGINT, signal.default_int_handler)

        def principals(key):
            signal.raise_signal(signal.SIGINT)
            return key

        cache = satchel.PromptCache(CONFIG, principals=principals, log_level="off")
        try:
            cache.classify(chat_body(), model="m", api_key="sk-1")
            for _ in range(1000): pass
            print("not interrupted")
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


def test_a_cache_dropped_in_its_own_callback_is_closed_at_exit(tmp_path: Path) -> None:
    """The last reference goes on a thread of the library, which cannot wait for itself to end."""
    done = run_python(
        """
        dropped = threading.Event()
        holder = []

        def clock():
            if threading.get_ident() != threading.main_thread().ident:  # the sweep asks
                holder.clear()
                dropped.set()
            return time.time_ns()

        class Released:
            def __call__(self, key):
                return key

            def __del__(self):
                print("released")

        index = {"kind": "sqlite", "path": sys.argv[1], "sweep_interval_ms": 10}
        config = {**CONFIG, "index": index}
        holder.append(satchel.PromptCache(config, clock=clock, principals=Released()))
        dropped.wait()
        print("dropped")
        """,
        tmp_path / "index",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "dropped\nreleased\n", "")


@pytest.mark.parametrize("known", [False, True], ids=["first", "after the main one"])
def test_another_interpreter_is_refused(known: bool) -> None:
    interpreters = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    done = run_in_a_fresh_python(
        f"""
        import {interpreters} as interpreters
        {"import satchel" if known else ""}
        failure = interpreters.run_string(interpreters.create(), "import satchel")
        if failure is not None:
            raise RuntimeError(failure)
        """
    )
    assert "satchel works in the main interpreter of a process only" in done.stderr
    assert done.returncode == 1
