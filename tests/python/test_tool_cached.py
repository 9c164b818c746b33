"""Functions whose results are cached, and the block behind them; in tasks too."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import json
import logging
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import satchel
from satchel._tool_cached import payload_of, spelled, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 60  # seconds: only a failed test waits that long


@pytest.fixture
def tools(tmp_path: Path) -> Iterator[satchel.ToolCache]:
    (tmp_path / "a.txt").write_text("one")
    with satchel.ToolCache(tmp_path / "store", workspace=tmp_path) as opened:
        yield opened


class Reader:
    """Counts how often a file is really read."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.calls = 0

    def text(self, path: str) -> str:
        self.calls += 1
        return (self.directory / path).read_text()


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


# ---------------------------------------------------------------------------------- the decorator


def test_a_result_is_computed_once_and_again_when_its_root_changes(
    tools: satchel.ToolCache, reader: Reader, tmp_path: Path
) -> None:
    @tools.cached(kind="read", roots=lambda path: [path])
    def read(path: str) -> str:
        """Reads."""
        return reader.text(path)

    assert [read("a.txt"), read("a.txt"), read(path="a.txt")] == ["one"] * 3
    assert reader.calls == 1
    (tmp_path / "a.txt").write_text("two")
    assert [read("a.txt"), read("a.txt")] == ["two"] * 2
    assert reader.calls == 2
    assert (read.__name__, read.__doc__) == ("read", "Reads.")
    [entry] = tools.entries()
    assert (entry["key"], entry["kind"]) == (tools.key_of(read, "a.txt"), "read")


def test_the_arguments_make_the_key(tools: satchel.ToolCache) -> None:
    calls = []

    @tools.cached()
    def join(*parts: str, sep: str = " ", **more: int) -> str:
        calls.append(parts)
        return sep.join(parts) + str(more)

    assert join("a", "b") == join("a", "b", sep=" ") == "a b{}"
    assert join("a", "b", sep="-") == "a-b{}"
    assert join("a b") == "a b{}"
    assert join("a", "b", x=1) == join("a", "b", x=1) == "a b{'x': 1}"
    assert len(calls) == 4
    assert {entry["kind"] for entry in tools.entries()} == {"join"}


def test_functions_versions_and_kinds_do_not_meet(tools: satchel.ToolCache) -> None:
    def make(answer: bytes, **options: Any) -> Any:
        @tools.cached(**options)
        def function(x: int) -> bytes:
            return answer + bytes([x])

        return function

    assert make(b"first", version=1)(7) == b"first\x07"
    assert make(b"second", version=1)(7) == b"first\x07"  # the code is no part of the key
    assert make(b"third", version=2)(7) == b"third\x07"
    assert make(b"fourth", version=1, kind="other")(7) == b"fourth\x07"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        "",
        b"bytes\0\xff",
        "text",
        "\ufeffwith a signature",
        b"\xef\xbb\xbfwith a signature",
        b"\xef\xbb\xbf\xff",
        "ünïcödé \U0001f600",
        "a lone \udce9 surrogate",
    ],
)
def test_bytes_and_texts_come_back_as_they_were(
    tools: satchel.ToolCache, value: bytes | str
) -> None:
    @tools.cached()
    def function() -> bytes | str:
        return value

    first, second = function(), function()
    assert type(first) is type(second) is type(value)
    assert first == second == value == value_of(payload_of(value))
    assert tools.stats()["process"]["hits"] == 1


def test_bytes_are_stored_as_they_are_and_a_text_as_utf8_with_a_signature() -> None:
    assert payload_of(b"plain") == b"plain"
    assert payload_of("plain").decode("utf-8-sig") == "plain"


def test_other_types_go_through_dumps_and_loads(tools: satchel.ToolCache) -> None:
    @tools.cached(dumps=json.dumps, loads=json.loads)
    def listing(path: str) -> list[str]:
        return [path, "x"]

    assert listing("a") == listing("a") == ["a", "x"]
    assert tools.stats()["process"]["hits"] == 1

    @tools.cached()
    def wrong() -> int:
        return 5

    with pytest.raises(TypeError, match="give dumps and loads"):
        wrong()  # type: ignore[unused-coroutine]
    with pytest.raises(TypeError, match="go together"):

        @tools.cached(dumps=json.dumps)
        def half() -> int:
            return 5


def test_what_cannot_be_cached_is_said_at_once(tools: satchel.ToolCache) -> None:
    with pytest.raises(TypeError, match="generator"):

        @tools.cached()
        def pieces() -> Iterator[bytes]:
            yield b""

    class Unspellable:
        pass

    @tools.cached()
    def function(_x: object) -> bytes:
        return b""

    with pytest.raises(TypeError, match="Unspellable cannot be part of a key: give key="):
        function(Unspellable())
    with pytest.raises(TypeError, match="missing a required argument"):
        function()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="not cached by this cache"):
        tools.key_of(len, "x")


def test_spellings_tell_values_apart() -> None:
    values: list[Any] = [
        None, True, 1, 1.0, -0.0, 0.0, 0, 2**80, float("nan"), math.inf, -math.inf,
        "1", b"1", "", b"", [], [[]], {}, {"a": 1}, {"a": "1"}, {"$bytes": "31"}, {1: 2}, {"1": 2},
        {b"1": 2}, {1}, {"1"}, ["a", 1], {"$set": []}, set(), "\ud800", {"b": 1, "a": 2},
        "\U0001f600", "\ud83d\ude00", {"\U0001f600": 1}, {"\ud83d\ude00": 1},
    ]  # fmt: skip
    texts = [json.dumps(spelled(value), sort_keys=True, allow_nan=False) for value in values]
    assert len(set(texts)) == len(values)
    assert spelled({"b": 1, "a": {3, 2}}) == spelled({"a": {2, 3}, "b": 1})
    assert spelled((1, 2)) == spelled([1, 2])
    assert spelled(Path("a/b")) == "a/b"


def test_methods_name_what_tells_their_calls_apart(tools: satchel.ToolCache) -> None:
    class Tool:
        def __init__(self, name: str) -> None:
            self.name = name
            self.calls = 0

        @tools.cached(key=lambda self, path: (self.name, path), roots=lambda path: [path])
        def read(self, path: str) -> str:
            self.calls += 1
            return self.name + path

    one, two = Tool("one"), Tool("two")
    assert [one.read("a.txt"), one.read("a.txt"), two.read("a.txt")] == [
        "onea.txt",
        "onea.txt",
        "twoa.txt",
    ]
    assert (one.calls, two.calls) == (1, 1)


def test_roots_may_be_a_list_or_take_all_arguments(
    tools: satchel.ToolCache, reader: Reader, tmp_path: Path
) -> None:
    @tools.cached(roots=["a.txt", satchel.Root(".", form="directory")])
    def fixed(n: int) -> str:
        return f"{n}{reader.text('a.txt')}"

    @tools.cached(roots=lambda p, *, m: [p, m])
    def other_names(path: str, *, mode: str) -> str:
        return reader.text(path) + mode

    @tools.cached(roots=lambda: ["a.txt"])
    def of_nothing(_n: int) -> str:
        return reader.text("a.txt")

    assert fixed(1) == fixed(1)
    (tmp_path / "new").touch()
    assert fixed(1) == "1one"
    assert reader.calls == 2
    with pytest.raises(TypeError):
        other_names("a.txt", mode="r")
    assert of_nothing(1) == of_nothing(1)
    assert reader.calls == 3

    @tools.cached(roots=lambda path: path)
    def single(path: str) -> str:
        return path

    with pytest.raises(TypeError, match="roots must be a list"):
        single("a.txt")


def test_exceptions_are_not_cached_and_the_lease_is_given_back(
    tools: satchel.ToolCache, tmp_path: Path, reader: Reader
) -> None:
    @tools.cached(roots=lambda path: [path])
    def read(path: str) -> str:
        return reader.text(path)

    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            read("later.txt")
    (tmp_path / "later.txt").write_text("now")
    assert read("later.txt") == read("later.txt") == "now"
    assert reader.calls == 3
    assert tools.entry_count() == 1


def test_a_result_that_cannot_be_stored_is_returned_all_the_same(
    tools: satchel.ToolCache, tmp_path: Path
) -> None:
    edits: list[str] = []

    @tools.cached(roots=lambda path: [path])
    def touch(path: str) -> str:
        edits.append(path)
        (tmp_path / path).write_text("x" * len(edits))
        return "edited"

    assert [touch("a.txt"), touch("a.txt")] == ["edited"] * 2
    assert len(edits) == 2
    assert tools.entry_count() == 0


def test_a_cache_that_fails_leaves_the_function_working(
    caplog: pytest.LogCaptureFixture, unraisable: list[BaseException]
) -> None:
    class Full:
        def persist(self, *_: object) -> None:
            raise OSError(28, "full")

        def lookup(self, key: str) -> None:
            if key == broken:
                raise OSError(5, "broken")

        def remove(self, _key: str) -> bool:
            return False

        contains = remove

        def iterate(self) -> list[tuple[str, bytes]]:
            return []

        def total_bytes(self) -> int:
            return 0

        def evict_to_cap(self, _cap: int) -> list[str]:
            return []

    broken = ""
    with (
        satchel.ToolCache(host_store=Full(), log_level="off") as tools,
        caplog.at_level(logging.WARNING, "satchel.tool_cache.computing"),
    ):

        @tools.cached()
        def function(x: int) -> bytes:
            return bytes([x])

        assert function(1) == b"\1"
        assert "a result is not stored" in caplog.text
        broken = tools.key_of(function, 2)
        assert function(2) == b"\2"
        assert "a result is computed without the cache" in caplog.text
    assert {type(error) for error in unraisable} == {OSError}
    with pytest.raises(satchel.ClosedError):  # a mistake of the program
        function(3)


def test_of_eight_threads_one_calls_the_function(tools: satchel.ToolCache) -> None:
    calls: list[str] = []
    started = threading.Event()
    go_on = threading.Event()

    @tools.cached()
    def slow(path: str) -> str:
        calls.append(path)
        started.set()
        assert go_on.wait(PATIENCE)
        return path

    with ThreadPoolExecutor(8) as pool:
        results = [pool.submit(slow, "a") for _ in range(8)]
        assert started.wait(PATIENCE)
        while tools.stats()["process"]["waits"] < 7:
            pass
        go_on.set()
        assert [result.result(PATIENCE) for result in results] == ["a"] * 8
    assert calls == ["a"]


def test_whoever_does_not_want_to_wait_computes_without_storing(tools: satchel.ToolCache) -> None:
    calls: list[int] = []

    @tools.cached(wait=0)
    def function() -> bytes:
        calls.append(1)
        return b"result"

    lease = tools.get_or_begin(tools.key_of(function), "function")
    assert isinstance(lease, satchel.Lease)
    assert [function(), function()] == [b"result"] * 2
    assert len(calls) == 2
    lease.abandon()
    assert tools.entry_count() == 0


# ------------------------------------------------------------------------------- results of results


def test_results_used_inside_become_upstreams_and_their_roots_roots(
    tools: satchel.ToolCache, reader: Reader, tmp_path: Path
) -> None:
    @tools.cached(roots=lambda path: [path])
    def read(path: str) -> str:
        return reader.text(path)

    outer_calls = []

    @tools.cached(upstreams=lambda path: [satchel.tool_key(path.encode())])
    def shout(path: str) -> str:
        outer_calls.append(path)
        return (read(path) + read(path)).upper()

    assert [shout("a.txt"), shout("a.txt")] == ["ONEONE"] * 2
    found = tools.lookup(tools.key_of(shout, "a.txt"))
    assert found.upstreams == [tools.key_of(read, "a.txt"), satchel.tool_key(b"a.txt")]
    assert found.roots == [("a.txt", tools.fingerprint("a.txt"))]
    (tmp_path / "a.txt").write_text("two")
    assert [shout("a.txt"), shout("a.txt")] == ["TWOTWO"] * 2
    assert len(outer_calls) == 2
    # Where the inner one is a hit from the beginning, it is the same.
    tools.mark_dirty(tools.key_of(shout, "a.txt"))
    assert shout("a.txt") == "TWOTWO"
    assert tools.lookup(tools.key_of(shout, "a.txt")).upstreams == found.upstreams
    assert tools.invalidate_upstream(tools.key_of(read, "a.txt")) == 1


def test_what_is_made_from_a_result_that_was_not_stored_is_not_stored(
    tools: satchel.ToolCache, tmp_path: Path
) -> None:
    calls: list[str] = []

    @tools.cached(roots=lambda path: [path])
    def unstable(path: str) -> str:
        calls.append(path)
        (tmp_path / path).write_text(f"{len(calls)} times")
        return "result"

    @tools.cached()
    def failing() -> str:
        raise KeyError

    @tools.cached()
    def outer(which: str) -> str:
        if which == "unstable":
            return unstable("a.txt")
        try:
            return failing()
        except KeyError:
            return "fallback"

    for which, result in (("unstable", "result"), ("failing", "fallback")):
        assert [outer(which), outer(which)] == [result] * 2
        assert not tools.lookup(tools.key_of(outer, which))
    assert len(calls) == 2


def test_another_caches_result_gives_its_roots_only(
    tools: satchel.ToolCache, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.txt").write_text("b")
    with satchel.ToolCache(tmp_path / "other", workspace=tmp_path / "elsewhere") as other:

        @other.cached(roots=["b.txt"])
        def inner() -> str:
            return (tmp_path / "elsewhere" / "b.txt").read_text()

        @tools.cached()
        def outer() -> str:
            return inner()

        assert outer() == "b"
        found = tools.lookup_revalidate(tools.key_of(outer))
        assert found.upstreams == []
        assert [path for path, _ in found.roots] == [str(tmp_path / "elsewhere" / "b.txt")]
        (tmp_path / "elsewhere" / "b.txt").write_text("c")
        assert outer() == "c"


def test_a_function_that_calls_itself_does_not_wait_for_itself(tools: satchel.ToolCache) -> None:
    depth: list[int] = []

    @tools.cached()
    def again(name: str) -> str:
        depth.append(1)
        return again(name) if len(depth) < 3 else name

    assert again("x") == "x"
    assert len(depth) == 3


# -------------------------------------------------------------------------------------- the block


def test_a_block_computes_and_then_hits(tools: satchel.ToolCache, tmp_path: Path) -> None:
    key = satchel.tool_key(b"call")
    with tools.computing(key, "grep", roots=["a.txt"]) as block:
        assert block.hit is None
        with pytest.raises(satchel.StateError, match="commit it"):
            _ = block.payload
        assert block.commit(b"result") == satchel.Stored(True)
        assert block.payload == b"result"
        with pytest.raises(satchel.StateError):
            block.commit(b"again")
    with tools.computing(key, "grep", roots=["a.txt"]) as block:
        assert isinstance(block.hit, satchel.Hit)
        assert block.payload == block.hit.payload == b"result"
        assert "hit" in repr(block)
        with pytest.raises(satchel.StateError):
            block.commit(b"again")
    (tmp_path / "a.txt").write_text("two")
    with pytest.raises(KeyError), tools.computing(key, "grep", roots=["a.txt"]):
        raise KeyError
    with tools.computing(key, "grep", roots=["a.txt"], wait=0) as block:
        assert "leased" in repr(block)
        with tools.computing(key, "grep") as inner:  # would wait for itself
            assert not inner.commit(b"inner")
        with pytest.raises(satchel.StateError, match="entered once"), block:
            pass


def test_a_block_raises_what_the_library_says(tools: satchel.ToolCache) -> None:
    with (
        pytest.raises(satchel.ArgumentError),
        tools.computing("no key", "grep"),
    ):
        pass


# ------------------------------------------------------------------------------------------ asyncio


def test_of_many_tasks_one_computes_and_the_loop_goes_on(tools: satchel.ToolCache) -> None:
    calls: list[str] = []

    async def main() -> None:
        go_on = asyncio.Event()

        @tools.cached(kind="fetch")
        async def fetch(name: str) -> str:
            """Fetches."""
            calls.append(name)
            await go_on.wait()
            return name * 2

        async def releases() -> None:
            # Runs while all the others wait: the loop is free.
            while tools.stats()["process"]["waits"] < 20:
                await asyncio.sleep(0.001)
            go_on.set()

        tasks = [asyncio.create_task(fetch("x")) for _ in range(20)]
        await asyncio.wait_for(asyncio.gather(releases(), *tasks), PATIENCE)
        assert [task.result() for task in tasks] == ["xx"] * 20
        assert inspect.iscoroutinefunction(fetch)
        assert fetch.__doc__ == "Fetches."

    asyncio.run(main())
    assert calls == ["x"]


def test_more_keys_than_threads_do_not_starve_each_other(tools: satchel.ToolCache) -> None:
    """Each key is waited for by others; whoever computes needs threads to begin and to commit."""

    async def main() -> None:
        @tools.cached()
        async def twice(n: int) -> str:
            await asyncio.sleep(0.001)
            return str(2 * n)

        results = await asyncio.gather(*(twice(n % 50) for n in range(200)))
        assert results == [str(2 * (n % 50)) for n in range(200)]

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_a_task_that_is_cancelled_gives_its_lease_back(tools: satchel.ToolCache) -> None:
    async def main() -> None:
        started = asyncio.Event()

        @tools.cached()
        async def slow() -> bytes:
            started.set()
            await asyncio.sleep(1000 if first else 0)
            return b"result"

        first = True
        task = asyncio.create_task(slow())
        await started.wait()
        waiting = asyncio.create_task(slow())
        waiting_too = asyncio.create_task(slow())
        while tools.stats()["process"]["waits"] < 2:
            await asyncio.sleep(0.001)
        waiting.cancel()
        first = False
        task.cancel()
        for cancelled in (task, waiting):
            with pytest.raises(asyncio.CancelledError):
                await cancelled
        assert await asyncio.wait_for(waiting_too, PATIENCE) == b"result"

    asyncio.run(main())


def test_tasks_inside_count_as_part_of_a_result(
    tools: satchel.ToolCache, tmp_path: Path, reader: Reader
) -> None:
    (tmp_path / "b.txt").write_text("b")

    async def main() -> None:
        @tools.cached(roots=lambda path: [path])
        async def read(path: str) -> str:
            return reader.text(path)

        @tools.cached()
        async def both() -> str:
            return " ".join(await asyncio.gather(read("a.txt"), read("b.txt")))

        assert await both() == await both() == "one b"
        found = tools.lookup(tools.key_of(both))
        assert sorted(found.upstreams) == sorted(
            tools.key_of(read, path) for path in ("a.txt", "b.txt")
        )
        (tmp_path / "b.txt").write_text("c")
        assert await both() == "one c"

        @tools.cached()
        async def impatient() -> str:
            try:
                return await asyncio.wait_for(forever(), 0.01)
            except asyncio.TimeoutError:
                return "too late"

        @tools.cached()
        async def forever() -> str:
            await asyncio.sleep(1000)
            return ""

        assert await impatient() == "too late"
        assert not tools.lookup(tools.key_of(impatient))

    asyncio.run(main())


def test_a_block_in_a_task(tools: satchel.ToolCache) -> None:
    key = satchel.tool_key(b"call")

    async def main() -> None:
        async with tools.computing(key, "fetch") as block:
            assert block.hit is None
            assert await block.acommit(b"result")
        async with tools.computing(key, "fetch") as block:
            assert block.hit
            assert block.payload == b"result"
        lease = tools.get_or_begin(satchel.tool_key(b"other"), "fetch")
        async with tools.computing(satchel.tool_key(b"other"), "fetch", wait=0.01) as block:
            assert block.commit(b"x") == satchel.Stored(False, "somebody else is computing it")
        del lease

    asyncio.run(main())


def test_a_frame_does_not_leak_into_what_comes_after(tools: satchel.ToolCache) -> None:
    from satchel import _tool_computing

    @tools.cached()
    def function() -> bytes:
        assert _tool_computing._frame.get() is not None
        return b""

    function()
    assert _tool_computing._frame.get() is None
    assert contextvars.copy_context().get(_tool_computing._frame) is None
