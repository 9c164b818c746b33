"""A store of the user's own, written in Python."""

from __future__ import annotations

import gc
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import satchel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 30  # seconds: only a failed test waits that long


class MemoryStore:
    """The least that is needed; oldest entries go first."""

    def __init__(self) -> None:
        self.entries: dict[str, tuple[bytes, bytes]] = {}

    def persist(self, key: str, payload: bytes, meta: bytes) -> None:
        self.entries[key] = (payload, meta)

    def lookup(self, key: str) -> tuple[bytes, bytes] | None:
        return self.entries.get(key)

    def remove(self, key: str) -> bool:
        return self.entries.pop(key, None) is not None

    def contains(self, key: str) -> bool:
        return key in self.entries

    def iterate(self) -> Iterator[tuple[str, bytes]]:
        for key, (_, meta) in list(self.entries.items()):
            yield key, meta

    def total_bytes(self) -> int:
        return sum(len(payload) + len(meta) for payload, meta in self.entries.values())

    def evict_to_cap(self, cap: int) -> list[str]:
        gone = []
        while self.total_bytes() > cap:
            gone.append(next(iter(self.entries)))
            del self.entries[gone[-1]]
        return gone


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def tools(store: MemoryStore, tmp_path: Path) -> Iterator[satchel.ToolCache]:
    (tmp_path / "a.txt").write_text("one")
    with satchel.ToolCache(host_store=store, workspace=tmp_path) as opened:
        yield opened


def key(name: str) -> str:
    return satchel.tool_key(name.encode())


def test_a_store_of_ones_own_does_all_that_a_directory_does(
    tools: satchel.ToolCache, store: MemoryStore, tmp_path: Path
) -> None:
    fingerprint = tools.fingerprint("a.txt")
    assert fingerprint is not None
    tools.persist(key("a"), b"payload", "read", roots=[("a.txt", fingerprint)])
    tools.persist(key("b"), b"other", "grep", upstreams=[key("a")])
    payload, meta = store.entries[key("a")]
    assert payload == b"payload"
    assert json.loads(meta) == {
        "payload_hash": satchel.tool_key(b"payload"),
        "bytes": 7,
        "tool_kind": "read",
        "file_roots": [{"path": "a.txt", "expected_hash": fingerprint}],
        "upstream_keys": [],
    }
    assert tools.lookup_revalidate(key("a")).payload == b"payload"
    assert not tools.lookup(key("nothing"))
    assert tools.total_bytes() == store.total_bytes()
    assert [entry["kind"] for entry in tools.entries("grep")] == ["grep"]
    assert "host" in repr(tools)
    (tmp_path / "a.txt").write_text("two")
    assert tools.lookup_revalidate(key("a")).state == "invalidated"
    assert tools.invalidate_path("a.txt") == 1
    assert store.entries == {}


def test_it_takes_leases_and_evicts(tools: satchel.ToolCache, store: MemoryStore) -> None:
    for name in "abc":
        begun = tools.get_or_begin(key(name), "read")
        assert isinstance(begun, satchel.Lease)
        assert isinstance(tools.get_or_begin(key(name), "read"), satchel.Wait)
        assert begun.commit(b"x" * 100)
    assert tools.get_or_begin(key("a"), "read")
    one = tools.total_bytes() // 3
    assert tools.evict_to_cap(2 * one) == 1
    assert list(store.entries) == [key("b"), key("c")]
    assert tools.verify(key("b"))
    tools.mark_dirty(key("b"))
    assert list(store.entries) == [key("c")]


def test_what_the_store_returns_is_checked(tools: satchel.ToolCache, store: MemoryStore) -> None:
    tools.persist(key("a"), b"good", "read")
    meta = store.entries[key("a")][1]
    store.entries[key("a")] = (b"evil", meta)
    with pytest.raises(satchel.IntegrityError):
        tools.lookup(key("a"))
    store.entries[key("a")] = (b"good", b"{")
    with pytest.raises(satchel.MetaError):
        tools.lookup(key("a"))
    assert key("a") in store.entries


def test_buffers_and_texts_may_be_returned(tools: satchel.ToolCache, store: MemoryStore) -> None:
    tools.persist(key("a"), b"good", "read")
    payload, meta = store.entries[key("a")]
    store.entries[key("a")] = (bytearray(payload), meta.decode())  # type: ignore[assignment]
    assert tools.lookup(key("a")).payload == b"good"


def test_a_store_must_have_its_methods() -> None:
    with pytest.raises(TypeError, match="host_store must have a method 'persist'"):
        satchel.ToolCache(host_store=object())  # type: ignore[arg-type]


def test_a_directory_and_a_store_are_too_much(tmp_path: Path, store: MemoryStore) -> None:
    with pytest.raises(satchel.ArgumentError):
        satchel.ToolCache(tmp_path / "store", host_store=store)


@pytest.mark.parametrize("method", ["persist", "lookup", "remove", "iterate", "total_bytes"])
def test_an_exception_fails_the_call_and_is_reported(
    store: MemoryStore,
    unraisable: list[BaseException],
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    raised = KeyError(method)

    def fail(*_: object) -> None:
        raise raised

    with monkeypatch.context() as patch:
        patch.setattr(store, method, fail)
        calls = {
            "persist": lambda: failing.persist(key("a"), b"x", "read"),
            "lookup": lambda: failing.lookup(key("a")),
            "remove": lambda: failing.mark_dirty(key("a")),
            "iterate": lambda: failing.invalidate_path("a.txt"),
            "total_bytes": lambda: failing.total_bytes(),
        }
        with satchel.ToolCache(host_store=store, log_level="off") as failing:
            with pytest.raises(satchel.Error, match=f"tool_store.{method}") as caught:
                calls[method]()
            assert caught.value.name == "ERR_CALLBACK"
    assert raised in unraisable
    with satchel.ToolCache(host_store=store) as tools:
        tools.persist(key("a"), b"x", "read")  # the store is none the worse


@pytest.mark.parametrize("answer", [5, ("only one",), (b"x", 5), (5, b"{}"), NotImplemented])
def test_an_answer_of_the_wrong_shape_is_an_error(
    store: MemoryStore, unraisable: list[BaseException], answer: Any
) -> None:
    store.lookup = lambda _key: answer  # type: ignore[method-assign]
    with satchel.ToolCache(host_store=store) as tools, pytest.raises(satchel.Error):
        tools.lookup(key("a"))
    assert [type(error) for error in unraisable] in ([TypeError], [ValueError])


def test_a_store_that_waits_holds_nobody_else_up(store: MemoryStore) -> None:
    waiting = threading.Event()
    go_on = threading.Event()
    look = store.lookup

    def lookup(asked: str) -> tuple[bytes, bytes] | None:
        if asked == key("slow"):
            waiting.set()
            assert go_on.wait(PATIENCE)
        return look(asked)

    store.lookup = lookup  # type: ignore[method-assign]
    with satchel.ToolCache(host_store=store) as tools, ThreadPoolExecutor(1) as pool:
        tools.persist(key("slow"), b"slow", "read")
        tools.persist(key("quick"), b"quick", "read")
        slow = pool.submit(tools.lookup, key("slow"))
        assert waiting.wait(PATIENCE)
        assert tools.lookup(key("quick")).payload == b"quick"
        assert not slow.done()
        go_on.set()
        assert slow.result(PATIENCE).payload == b"slow"


def test_threads_meet_inside_the_library(store: MemoryStore) -> None:
    """Each call waits for all the others: with the lock held by any, none would come."""
    together = threading.Barrier(8)
    look = store.lookup

    def lookup(asked: str) -> tuple[bytes, bytes] | None:
        together.wait(PATIENCE)
        return look(asked)

    with satchel.ToolCache(host_store=store) as tools:
        tools.persist(key("a"), b"x", "read")
    store.lookup = lookup  # type: ignore[method-assign]
    with satchel.ToolCache(host_store=store) as tools, ThreadPoolExecutor(8) as pool:
        for found in pool.map(tools.lookup, [key("a")] * 8):
            assert found.payload == b"x"


def test_a_store_may_use_its_cache_but_not_close_it(store: MemoryStore) -> None:
    said: list[object] = []

    def total_bytes() -> int:
        try:
            holder[0].close()
        except satchel.BusyError as error:
            said.append(error.name)
        return 7

    store.total_bytes = total_bytes  # type: ignore[method-assign]
    holder = [satchel.ToolCache(host_store=store)]
    assert holder[0].total_bytes() == 7
    assert said == ["ERR_BUSY"]
    assert not holder[0].closed
    holder[0].close()


def test_closing_lets_the_store_go() -> None:
    released: list[bool] = []

    class Store(MemoryStore):
        def __del__(self) -> None:
            released.append(True)

    tools = satchel.ToolCache(host_store=Store())
    tools.close()
    gc.collect()
    assert released == [True]
    with pytest.raises(satchel.ConfigError):
        satchel.ToolCache(host_store=Store(), config={"no": 1})
    gc.collect()
    assert released == [True, True]


def test_a_log_and_clocks_of_ones_own(tmp_path: Path) -> None:
    asked: list[str] = []

    def clock() -> Any:
        asked.append("clock")
        return NotImplemented

    with satchel.ToolCache(tmp_path / "store", clock=clock, log=lambda *_: None) as tools:
        tools.persist(key("a"), b"x", "read")
        assert tools.lookup(key("a"))
        tools.flush()
    with pytest.raises(TypeError, match="clock must be callable"):
        satchel.ToolCache(tmp_path / "store", clock=5)  # type: ignore[arg-type]
