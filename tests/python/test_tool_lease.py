"""Single flight: one computes, the others wait, in threads and in processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import satchel

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 60  # seconds: only a failed test waits that long
KEY = satchel.tool_key(b"call")


@pytest.fixture
def tools(tmp_path: Path) -> Iterator[satchel.ToolCache]:
    (tmp_path / "a.txt").write_text("one")
    with satchel.ToolCache(tmp_path / "store", workspace=tmp_path) as opened:
        yield opened


def lease_of(tools: satchel.ToolCache, **options: Any) -> satchel.Lease:
    begun = tools.get_or_begin(KEY, "read", **options)
    assert isinstance(begun, satchel.Lease)
    return begun


def run_python(code: str, *arguments: object, warn: bool = True) -> Any:
    """Runs a program of its own to its end."""
    # Newer Pythons warn of a fork beside threads.
    options = [] if warn else ["-Wignore::DeprecationWarning"]
    return subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(code), *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def test_lease_commit_hit(tools: satchel.ToolCache) -> None:
    lease = lease_of(tools, roots=["a.txt", satchel.Root(".", form="stat")])
    up = satchel.tool_key(b"up")
    stored = lease.commit(b"result", upstreams=[up], roots=[("b.txt", "0" * 64)], kind="grep")
    assert stored
    assert stored == satchel.Stored(True, None)
    found = tools.lookup(KEY)
    assert (found.payload, found.kind, found.upstreams) == (b"result", "grep", [up])
    assert [(path, depends.form) for depends in found.roots for path in depends[:1]] == [
        ("a.txt", "content"),
        (".", "stat"),
        ("b.txt", "content"),
    ]
    assert found.roots[0].expected_hash == tools.fingerprint("a.txt")
    with pytest.raises(satchel.StateError):
        lease.commit(b"again")
    with pytest.raises(satchel.StateError):
        lease.abandon()


def test_the_answer_has_three_shapes(tools: satchel.ToolCache) -> None:
    lease = lease_of(tools)
    assert tools.get_or_begin(KEY, "read") == satchel.Wait(KEY)
    lease.commit(b"result")
    hit = tools.get_or_begin(KEY, "read")
    assert isinstance(hit, satchel.Hit)
    assert hit.payload == b"result"


@pytest.mark.skipif(sys.version_info < (3, 10), reason="match came with 3.10")
def test_the_answer_can_be_matched(tools: satchel.ToolCache) -> None:
    code = """
        def shape(begun):
            match begun:
                case satchel.Hit(payload=payload):
                    return payload
                case satchel.Lease() as lease:
                    return lease
                case satchel.Wait(key=key):
                    return key
    """
    names: dict[str, Any] = {"satchel": satchel}
    exec(textwrap.dedent(code), names)
    shape = names["shape"]
    lease = shape(tools.get_or_begin(KEY, "read"))
    assert shape(tools.get_or_begin(KEY, "read")) == KEY
    lease.commit(b"result")
    assert shape(tools.get_or_begin(KEY, "read")) == b"result"


def test_a_root_that_changes_meanwhile_keeps_the_result_from_being_stored(
    tools: satchel.ToolCache, tmp_path: Path
) -> None:
    lease = lease_of(tools, roots=["a.txt"])
    (tmp_path / "a.txt").write_text("two")
    stored = lease.commit(b"result")
    assert not stored
    assert stored.reason is not None
    assert "a.txt" in stored.reason
    assert not tools.lookup(KEY)


def test_a_lease_ends_when_it_is_abandoned_left_or_dropped(tools: satchel.ToolCache) -> None:
    lease_of(tools).abandon()
    with pytest.raises(KeyError), lease_of(tools):
        raise KeyError
    with lease_of(tools) as lease:
        pass
    del lease
    lease = lease_of(tools)
    assert "Lease" in repr(lease)
    del lease
    with lease_of(tools) as lease:
        lease.commit(b"result")
    assert tools.get_or_begin(KEY, "read")


def test_a_lease_has_a_writer(tools: satchel.ToolCache, tmp_path: Path) -> None:
    with lease_of(tools, roots=["a.txt"]).writer() as writer:
        writer.write(b"half")
        writer.write(b"half")
    assert writer.stored == satchel.Stored(True)
    found = tools.lookup_revalidate(KEY)
    assert (found.payload, found.kind) == (b"halfhalf", "read")
    tools.mark_dirty(KEY)
    writer = lease_of(tools, roots=["a.txt"]).writer()
    writer.write(b"half")
    (tmp_path / "a.txt").write_text("two")
    assert not writer.commit()
    assert not tools.lookup(KEY)


def test_a_damaged_entry_is_computed_anew(tools: satchel.ToolCache, tmp_path: Path) -> None:
    tools.persist(KEY, b"good", "read")
    (tmp_path / "store" / KEY[:2] / f"{KEY}.payload").write_bytes(b"evil")
    lease_of(tools).commit(b"good")
    assert tools.lookup(KEY).payload == b"good"


def test_a_lease_whose_time_is_over_passes_on(tools: satchel.ToolCache) -> None:
    slow = lease_of(tools, lease=0.05)
    quick = lease_of(tools, wait=PATIENCE)
    assert quick.commit(b"quick")
    stored = slow.commit(b"slow")
    assert not stored
    assert stored.reason is not None
    assert tools.lookup(KEY).payload == b"quick"


@pytest.mark.parametrize(
    "options", [{"wait": -1}, {"wait": float("nan")}, {"lease": 0}, {"lease": -1.5}]
)
def test_times_are_checked(tools: satchel.ToolCache, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="seconds"):
        tools.get_or_begin(KEY, "read", **options)


# ---------------------------------------------------------------------------------------- threads


def compute_or_wait(tools: satchel.ToolCache, computed: list[int]) -> bytes:
    begun = tools.get_or_begin(KEY, "read", wait=PATIENCE)
    if isinstance(begun, satchel.Lease):
        computed.append(threading.get_ident())
        time.sleep(0.05)  # so that others come meanwhile
        begun.commit(b"result")
        return b"result"
    assert isinstance(begun, satchel.Hit)
    return begun.payload


def test_of_eight_threads_one_computes(tools: satchel.ToolCache) -> None:
    computed: list[int] = []
    with ThreadPoolExecutor(8) as pool:
        results = [pool.submit(compute_or_wait, tools, computed) for _ in range(8)]
        assert [result.result(PATIENCE) for result in results] == [b"result"] * 8
    assert len(computed) == 1


def test_a_thread_that_waits_holds_nobody_up(tools: satchel.ToolCache) -> None:
    """Python's lock is released: the leader goes on, and ends the wait."""
    lease = lease_of(tools)
    with ThreadPoolExecutor(1) as pool:
        waiter = pool.submit(tools.get_or_begin, KEY, "read", wait=PATIENCE)
        while tools.stats()["process"]["waits"] == 0:
            assert not waiter.done()
        lease.commit(b"result")
        hit = waiter.result(PATIENCE)
    assert isinstance(hit, satchel.Hit)
    assert hit.payload == b"result"


def test_closing_the_cache_ends_a_wait(tools: satchel.ToolCache) -> None:
    lease = lease_of(tools, lease=86_400)
    with ThreadPoolExecutor(1) as pool:
        waiter = pool.submit(tools.get_or_begin, KEY, "read", wait=float("inf"))
        while tools.stats()["process"]["waits"] == 0:
            assert not waiter.done()
        tools.close()
        with pytest.raises(satchel.ClosedError):
            waiter.result(PATIENCE)
    del lease


def test_ctrl_c_ends_a_wait(tmp_path: Path) -> None:
    code = """
        import os, signal, sys, threading, satchel
        signal.signal(signal.SIGINT, signal.default_int_handler)
        key = satchel.tool_key(b"call")
        with satchel.ToolCache(sys.argv[1]) as tools:
            lease = tools.get_or_begin(key, "read")
            def interrupt():
                while tools.stats()["process"]["waits"] == 0: pass
                os.kill(os.getpid(), signal.SIGINT)
            threading.Thread(target=interrupt).start()
            try:
                tools.get_or_begin(key, "read", wait=1000)
            except KeyboardInterrupt:
                print("interrupted")
            lease.abandon()
    """
    done = run_python(code, tmp_path / "store")
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


# -------------------------------------------------------------------------------------- processes

SPAWN = multiprocessing.get_context("spawn")


def _compute_in_process(store: str, log: str) -> bytes:
    with satchel.ToolCache(store) as tools:
        begun = tools.get_or_begin(KEY, "read", wait=PATIENCE)
        if isinstance(begun, satchel.Lease):
            with open(log, "a", encoding="utf-8") as lines:
                lines.write(f"{os.getpid()}\n")
            time.sleep(0.2)
            begun.commit(b"result")
            return b"result"
        assert isinstance(begun, satchel.Hit)
        return begun.payload


def test_of_four_processes_one_computes(tmp_path: Path) -> None:
    arguments = (str(tmp_path / "store"), str(tmp_path / "log"))
    with SPAWN.Pool(4) as pool:
        results = [pool.apply_async(_compute_in_process, arguments) for _ in range(8)]
        assert [result.get(PATIENCE) for result in results] == [b"result"] * 8
    assert len((tmp_path / "log").read_text().splitlines()) == 1


def _hold_for_ever(store: str, held: Any) -> None:
    with satchel.ToolCache(store) as tools:
        lease = tools.get_or_begin(KEY, "read", lease=86_400)
        assert isinstance(lease, satchel.Lease)
        held.set()
        time.sleep(1000)


def test_the_lease_of_a_process_that_was_killed_passes_on(
    tools: satchel.ToolCache, tmp_path: Path
) -> None:
    held = SPAWN.Event()
    holder = SPAWN.Process(target=_hold_for_ever, args=(str(tmp_path / "store"), held))
    holder.start()
    try:
        assert held.wait(PATIENCE)
        assert isinstance(tools.get_or_begin(KEY, "read"), satchel.Wait)
        assert holder.pid is not None
        os.kill(holder.pid, signal.SIGKILL)
        lease_of(tools, wait=PATIENCE).commit(b"result")
    finally:
        holder.kill()
        holder.join()


def test_a_child_of_a_fork_opens_its_own(tmp_path: Path) -> None:
    code = """
        import os, sys, satchel
        key = satchel.tool_key(b"call")
        tools = satchel.ToolCache(sys.argv[1])
        tools.persist(key, b"x", "read")
        found = tools.lookup(key)
        child = os.fork()
        if child == 0:
            try:
                tools.lookup(key)
            except satchel.ClosedError as error:
                print(error.name)
            tools.close()
            with satchel.ToolCache(sys.argv[1]) as own:
                print(own.lookup(key).payload)
            sys.exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), tools.lookup(key).payload)
    """
    done = run_python(code, tmp_path / "store", warn=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["ERR_FORKED", "b'x'", "7", "b'x'"]


def test_an_open_cache_is_closed_at_exit(tmp_path: Path) -> None:
    code = """
        import sys, satchel
        tools = satchel.ToolCache(sys.argv[1], log=print)
        keep = [tools, tools.get_or_begin(satchel.tool_key(b"1"), "read")]
        keep.append(tools.writer(satchel.tool_key(b"2"), "read"))
        tools.persist(satchel.tool_key(b"3"), b"x", "read")
        keep.append(tools.lookup(satchel.tool_key(b"3")))
        sys.modules["kept to the very end"] = keep
    """
    done = run_python(code, tmp_path / "store")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with satchel.ToolCache(tmp_path / "store") as tools:
        begun = tools.get_or_begin(satchel.tool_key(b"1"), "read")
        assert isinstance(begun, satchel.Lease)


def test_the_exit_does_not_wait_for_a_thread_that_waits_for_a_lease(tmp_path: Path) -> None:
    code = """
        import sys, threading, satchel
        key = satchel.tool_key(b"call")
        tools = satchel.ToolCache(sys.argv[1])
        lease = tools.get_or_begin(key, "read", lease=86_400)

        def wait():
            try:
                tools.get_or_begin(key, "read", wait=float("inf"))
            except satchel.ClosedError:
                pass

        threading.Thread(target=wait, daemon=True).start()
        while tools.stats()["process"]["waits"] == 0:
            pass
        print("leaving")
    """
    done = run_python(code, tmp_path / "store")
    assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")


def test_the_exit_does_not_wait_for_a_thread_that_is_stuck_in_a_callback(tmp_path: Path) -> None:
    code = """
        import sys, threading, satchel
        inside = threading.Event()

        def log(*_):
            inside.set()
            threading.Event().wait()

        config = {"stats_path": sys.argv[1] + "/no/such/directory"}
        tools = satchel.ToolCache(sys.argv[1], config=config, log=log)
        stuck = lambda: tools.record("read", "hit", 1)
        threading.Thread(target=stuck, daemon=True).start()
        inside.wait()
        print("leaving")
    """
    done = run_python(code, tmp_path / "store")
    assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")


def test_a_cache_dropped_in_its_own_callback_is_closed_at_exit(tmp_path: Path) -> None:
    """The last reference goes on a thread of the library, which cannot wait for itself to end."""
    code = """
        import sys, threading, time, satchel
        dropped = threading.Event()
        holder = []

        def monotonic():
            if threading.current_thread() is not threading.main_thread() and holder:
                holder.clear()
                dropped.set()
            return time.monotonic_ns()

        config = {"maintenance_interval_ms": 10}
        holder.append(satchel.ToolCache(sys.argv[1], config=config, monotonic=monotonic))
        dropped.wait()
        print("dropped")
    """
    done = run_python(code, tmp_path / "store")
    assert (done.returncode, done.stdout) == (0, "dropped\n")
