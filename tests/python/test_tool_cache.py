"""The tool cache: lookups, storing, invalidation, upkeep, with real files."""

from __future__ import annotations

import copy
import gc
import io
import json
import os
import pickle
import shutil
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import satchel

if TYPE_CHECKING:
    from collections.abc import Iterator

HELLO = "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f"  # BLAKE3 of "hello"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a.txt").write_text("one")
    return tmp_path / "work"


@pytest.fixture
def tools(tmp_path: Path, workspace: Path) -> Iterator[satchel.ToolCache]:
    with satchel.ToolCache(tmp_path / "store", workspace=workspace) as opened:
        yield opened


def key(name: str) -> str:
    return satchel.tool_key(name.encode())


def root(tools: satchel.ToolCache, path: str) -> satchel.Root:
    fingerprint = tools.fingerprint(path)
    assert fingerprint is not None
    return satchel.Root(path, fingerprint)


def payload_file(store: Path, of: str) -> Path:
    return store / of[:2] / f"{of}.payload"


def meta_file(store: Path, of: str) -> Path:
    return store / of[:2] / f"{of}.meta.json"


# ------------------------------------------------------------------------------------------- keys


def test_a_key_is_the_blake3_of_its_input() -> None:
    assert satchel.tool_key(b"hello") == HELLO
    assert satchel.tool_key(bytearray(b"hello")) == HELLO
    assert satchel.tool_result_key(b"hello") == satchel.tool_key(b"tool_result\0hello")
    with pytest.raises(TypeError):
        satchel.tool_key("hello")  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", ["", "abc", HELLO.upper(), HELLO + "0", "g" * 64])
def test_anything_else_is_no_key(tools: satchel.ToolCache, bad: str) -> None:
    with pytest.raises(satchel.ArgumentError):
        tools.lookup(bad)
    with pytest.raises(satchel.ArgumentError):
        tools.persist(bad, b"", "read")
    with pytest.raises(satchel.ArgumentError):
        tools.get_or_begin(bad, "read")


# ---------------------------------------------------------------------------------------- lookups


def test_a_result_comes_back_byte_for_byte_with_what_it_depends_on(
    tools: satchel.ToolCache,
) -> None:
    payload = bytes(range(256)) * 5
    depends = root(tools, "a.txt")
    tools.persist(key("k"), payload, "read", roots=[depends], upstreams=[key("up")])
    for found in (tools.lookup(key("k")), tools.lookup_revalidate(key("k"))):
        assert found
        assert isinstance(found, satchel.Hit)
        assert (found.state, found.reason, found.key) == ("hit", None, key("k"))
        assert found.payload == payload
        assert found.size == len(payload)
        assert found.kind == "read"
        assert found.payload_hash == satchel.tool_key(payload)
        assert found.roots == [depends] == [("a.txt", depends.expected_hash)]
        assert found.upstreams == [key("up")]
        assert repr(found) == f"<satchel.Hit hit {key('k')[:12]}, read, 1280 bytes>"


def test_a_miss_is_false_and_has_no_result(tools: satchel.ToolCache) -> None:
    found = tools.lookup(key("nothing"))
    assert not found
    assert (found.state, found.reason) == ("miss", None)
    for ask in (
        lambda: found.payload,
        lambda: found.kind,
        lambda: found.roots,
        lambda: found.read(0, 1),
        found.open,
    ):
        with pytest.raises(satchel.StateError, match="the lookup was a miss"):
            ask()


def test_a_changed_root_invalidates_and_the_file_put_back_hits_again(
    tools: satchel.ToolCache, workspace: Path
) -> None:
    tools.persist(key("k"), b"x", "read", roots=[root(tools, "a.txt")])
    (workspace / "a.txt").write_text("two")
    found = tools.lookup_revalidate(key("k"))
    assert not found
    assert found.state == "invalidated"
    assert found.reason is not None
    assert "a.txt" in found.reason
    assert "a.txt" in repr(found)
    assert tools.lookup(key("k"))  # which does not look at roots
    (workspace / "a.txt").write_text("one")
    assert tools.lookup_revalidate(key("k")).payload == b"x"


@pytest.mark.parametrize("form", ["content", "directory", "stat"])
def test_roots_have_three_forms(
    tools: satchel.ToolCache, workspace: Path, form: satchel._tool_result.Form
) -> None:
    path = "." if form == "directory" else "a.txt"
    fingerprint = tools.fingerprint(path, form)
    assert fingerprint is not None
    depends = satchel.Root(path, fingerprint)
    assert depends.form == form == satchel.Root(path, form=form).form
    tools.persist(key("k"), b"x", "ls", roots=[depends])
    assert tools.lookup_revalidate(key("k"))
    if form == "directory":
        (workspace / "new").touch()
    else:
        (workspace / "a.txt").write_text("longer")
    assert tools.lookup_revalidate(key("k")).state == "invalidated"


def test_a_root_is_a_pair(tools: satchel.ToolCache) -> None:
    path, expected = depends = satchel.Root("a", "stat:1:2:3")
    assert (path, expected) == depends == copy.copy(depends) == pickle.loads(pickle.dumps(depends))
    assert repr(depends) == "Root(path='a', expected_hash='stat:1:2:3')"
    with pytest.raises(ValueError, match="form"):
        satchel.Root("a", form="weather")  # type: ignore[arg-type]
    tools.persist(key("k"), b"x", "read", roots=[("a.txt", "0" * 64)])
    assert tools.lookup(key("k")).roots == [satchel.Root("a.txt", "0" * 64)]


def test_paths_are_bytes(tools: satchel.ToolCache, workspace: Path) -> None:
    """A name that is no UTF-8: as bytes, as a str with surrogates, and back."""
    name = b"caf\xe9.txt"
    (workspace / os.fsdecode(name)).write_bytes(b"hello")
    assert tools.fingerprint(name) == HELLO == tools.fingerprint(workspace / os.fsdecode(name))
    tools.persist(key("k"), b"x", "read", roots=[(name, HELLO)])
    [found] = tools.lookup_revalidate(key("k")).roots
    assert found == (os.fsdecode(name), HELLO)
    assert tools.invalidate_path(name) == 1


@pytest.mark.parametrize("roots", ["a.txt", b"a.txt", Path("a.txt")])
def test_a_single_path_is_no_list_of_roots(tools: satchel.ToolCache, roots: Any) -> None:
    with pytest.raises(TypeError, match="roots must be a list"):
        tools.persist(key("k"), b"x", "read", roots=roots)
    with pytest.raises(TypeError, match="roots must be a list"):
        tools.get_or_begin(key("k"), "read", roots=roots)


def test_what_is_stored_needs_fingerprints(tools: satchel.ToolCache) -> None:
    with pytest.raises(TypeError, match=r"must be satchel\.Root or a pair"):
        tools.persist(key("k"), b"x", "read", roots=["a.txt"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="upstreams must be a list"):
        tools.persist(key("k"), b"x", "read", upstreams=key("up"))


def test_options_are_keyword_only(tools: satchel.ToolCache, tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        satchel.ToolCache(tmp_path, tmp_path)  # type: ignore[misc]
    with pytest.raises(TypeError):
        tools.persist(key("k"), b"x", "read", [])  # type: ignore[misc]
    with pytest.raises(TypeError):
        tools.get_or_begin(key("k"), "read", [])  # type: ignore[misc]


# --------------------------------------------------------------------------------- large payloads


def test_a_payload_can_be_read_in_parts(tools: satchel.ToolCache) -> None:
    payload = os.urandom(3_000_000)
    tools.persist(key("k"), payload, "bash")
    found = tools.lookup(key("k"))
    assert found.read(10, 20) == payload[10:30]
    assert found.read(2_999_990, 100) == payload[-10:]
    assert found.read(5_000_000, 100) == b""
    assert found.read() == payload
    with found.open() as file:
        assert isinstance(file, io.BufferedReader)
        assert file.read(5) == payload[:5]
        assert file.seek(-7, io.SEEK_END) == len(payload) - 7
        assert file.read() == payload[-7:]
        file.seek(100)
        assert file.tell() == 100
        target = io.BytesIO()
        shutil.copyfileobj(file, target)
        assert target.getvalue() == payload[100:]
        with pytest.raises((ValueError, OSError)):
            file.seek(-1)
    with pytest.raises(ValueError, match="negative"):
        found.read(-1)


def test_a_payload_can_be_written_in_parts(tools: satchel.ToolCache) -> None:
    pieces = [os.urandom(100_000) for _ in range(5)]
    with tools.writer(key("k"), "bash", roots=[root(tools, "a.txt")]) as writer:
        for piece in pieces:
            assert writer.write(piece) == len(piece)
        assert not tools.lookup(key("k"))
        assert writer.commit() == satchel.Stored(True)
    assert writer.closed
    found = tools.lookup_revalidate(key("k"))
    assert found.payload == b"".join(pieces)
    assert [path for path, _ in found.roots] == ["a.txt"]
    with pytest.raises(satchel.ClosedError):
        writer.write(b"more")


def test_a_writer_commits_at_the_end_of_its_block_and_aborts_at_an_exception(
    tools: satchel.ToolCache,
) -> None:
    with tools.writer(key("end"), "bash") as writer:
        shutil.copyfileobj(io.BytesIO(b"all of it"), writer)
    assert writer.stored
    assert tools.lookup(key("end")).payload == b"all of it"
    writer = tools.writer(key("broken"), "bash")
    writer.write(b"half")
    with pytest.raises(KeyError), writer:
        raise KeyError
    assert writer.stored is None
    assert not tools.lookup(key("broken"))
    dropped = tools.writer(key("dropped"), "bash")
    dropped.write(b"half")
    del dropped
    assert not tools.lookup(key("dropped"))
    aborted = tools.writer(key("aborted"), "bash")
    aborted.abort()
    aborted.abort()
    assert repr(aborted).endswith(", aborted>")
    assert tools.total_bytes() == sum(
        file(Path(str(tools.store)), key("end")).stat().st_size
        for file in (payload_file, meta_file)
    )


# ----------------------------------------------------------------------------------------- damage


def test_damage_is_an_error_of_its_own_and_nothing_is_removed(
    tools: satchel.ToolCache, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    tools.persist(key("bytes"), b"good", "read")
    tools.persist(key("meta"), b"good", "read")
    payload_file(store, key("bytes")).write_bytes(b"evil")
    meta_file(store, key("meta")).write_bytes(b"{")
    for _ in range(2):
        with pytest.raises(satchel.IntegrityError) as caught:
            tools.lookup(key("bytes"))
        assert (caught.value.status, caught.value.name) == (-15, "ERR_INTEGRITY")
        with pytest.raises(satchel.MetaError):
            tools.lookup(key("meta"))
        with pytest.raises(satchel.IntegrityError):
            tools.verify(key("bytes"))
        with pytest.raises(satchel.MetaError):
            tools.verify(key("meta"))
    assert payload_file(store, key("bytes")).exists()
    assert meta_file(store, key("meta")).exists()
    assert tools.why(key("bytes"))["state"] == "integrity_error"
    assert tools.why(key("meta"))["state"] == "meta_error"


def test_the_new_errors_are_of_the_tree() -> None:
    for kind in (satchel.IntegrityError, satchel.MetaError, satchel.NoSpaceError):
        assert issubclass(kind, satchel.Error)


def test_verify_says_whether_it_is_there(tools: satchel.ToolCache, tmp_path: Path) -> None:
    tools.persist(key("k"), b"good", "read")
    assert tools.verify(key("k")) is True
    assert tools.verify(key("nothing")) is False
    payload_file(tmp_path / "store", key("k")).unlink()
    assert tools.verify(key("k")) is False
    assert tools.why(key("k"))["state"] == "half"


# ----------------------------------------------------------------------------------- invalidation


def test_invalidation_drops_what_depends_on_it(tools: satchel.ToolCache) -> None:
    tools.persist(key("a"), b"a", "read", roots=[root(tools, "a.txt")])
    tools.persist(key("b"), b"b", "grep", upstreams=[key("a")])
    tools.persist(key("c"), b"c", "bash", upstreams=[key("b")])
    tools.persist(key("other"), b"o", "bash")
    assert tools.invalidate_upstream(key("a")) == 2
    assert [tools.contains(key(name)) for name in "abc"] == [True, False, False]
    tools.persist(key("b"), b"b", "grep", upstreams=[key("a")])
    assert tools.invalidate_path("a.txt") == 1
    assert [tools.contains(key(name)) for name in "ab"] == [False, False]
    assert tools.contains(key("other"))
    tools.mark_dirty(key("other"))
    assert not tools.contains(key("other"))
    assert tools.invalidate_path("a.txt") == 0


def test_paths_are_relative_to_the_workspace(tools: satchel.ToolCache, workspace: Path) -> None:
    tools.persist(key("a"), b"a", "read", roots=[root(tools, "a.txt")])
    assert tools.invalidate_path(workspace / "a.txt") == 1
    assert tools.workspace == str(workspace)


def test_fingerprints(tools: satchel.ToolCache, workspace: Path) -> None:
    (workspace / "h").write_bytes(b"hello")
    os.utime(workspace / "h", ns=(0, 1_500_000_007))
    assert tools.fingerprint("h") == HELLO
    assert tools.fingerprint("h", "stat") == "stat:5:1:500000007"
    assert tools.fingerprint("h", form="content_or_stat") == HELLO
    directory = tools.fingerprint(".", "directory")
    assert directory is not None
    assert directory.startswith("dir:")
    with pytest.raises(satchel.Error) as caught:
        tools.fingerprint("missing")
    assert (caught.value.name, caught.value.os_errno) == ("ERR_IO", 2)
    with pytest.raises(ValueError, match="form"):
        tools.fingerprint("h", "weather")  # type: ignore[arg-type]


def test_what_is_too_large_has_no_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 101)
    with satchel.ToolCache(
        tmp_path / "store", workspace=tmp_path, config={"hash_max_bytes": 100}
    ) as tools:
        assert tools.fingerprint("large") is None
        stat = tools.fingerprint("large", "content_or_stat")
        assert stat is not None
        assert stat.startswith("stat:101:")


# --------------------------------------------------------------------------- upkeep and statistics


def test_counts_kinds_and_bytes(tools: satchel.ToolCache, tmp_path: Path) -> None:
    assert (tools.entry_count(), tools.known_kinds(), tools.total_bytes()) == (0, [], 0)
    tools.persist(key("a"), b"12345", "read")
    tools.persist(key("b"), b"1", "bash")
    assert (tools.entry_count(), tools.known_kinds()) == (2, ["bash", "read"])
    sizes = [
        file(tmp_path / "store", key(name)).stat().st_size
        for name in "ab"
        for file in (payload_file, meta_file)
    ]
    assert tools.total_bytes() == sum(sizes)
    stats = tools.stats()
    assert (stats["entries"], stats["bytes"], stats["disk_bytes"]) == (2, 6, sum(sizes))
    assert stats["kinds"]["read"] == {"entries": 1, "bytes": 5, "disk_bytes": sum(sizes[:2])}
    assert stats["store"] == str(tmp_path / "store")
    assert stats["process"]["persisted"] == 2
    assert "satchel_tool_cache_persisted_total 2\n" in tools.metrics()


def test_every_process_counter_is_a_metric(tools: satchel.ToolCache) -> None:
    metrics = tools.metrics()
    for name in tools.stats()["process"]:
        assert f"# TYPE satchel_tool_cache_{name}_total counter\n" in metrics


def test_pages_and_entries(tools: satchel.ToolCache, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = sorted(key(str(i)) for i in range(25))
    for i in range(25):
        tools.persist(key(str(i)), b"x" * i, "even" if i % 2 == 0 else "odd")
    assert [entry["key"] for entry in tools.list()] == keys
    assert [entry["key"] for entry in tools.list(after=keys[3], limit=2)] == keys[4:6]
    assert len(tools.list("odd")) == 12
    monkeypatch.setattr("satchel._tool_cache._PAGE", 10)
    entries = list(tools.entries())
    assert [entry["key"] for entry in entries] == keys
    assert {entry["kind"] for entry in tools.entries(kind="even")} == {"even"}
    assert set(entries[0]) == {"key", "kind", "bytes", "disk_bytes", "written_ns", "used_ns"}
    with pytest.raises(satchel.ArgumentError):
        tools.list(limit=0)


def test_eviction_and_sweeping(tools: satchel.ToolCache, tmp_path: Path) -> None:
    for i in range(4):
        tools.persist(key(str(i)), b"x" * 1000, "read")
        os.utime(payload_file(tmp_path / "store", key(str(i))), ns=(i, i))
    one = tools.total_bytes() // 4
    assert tools.evict_to_cap(2 * one) == 2
    assert [tools.verify(key(str(i))) for i in range(4)] == [False, False, True, True]
    assert tools.evict() == 0  # no bounds
    meta_file(tmp_path / "store", key("3")).unlink()
    assert tools.sweep() == 0  # too young
    half = payload_file(tmp_path / "store", key("3"))
    assert tools.sweep(min_age_s=0.0) >= 1
    assert not half.exists()
    with pytest.raises(ValueError, match="min_age_s"):
        tools.sweep(min_age_s=-1)


def test_bounds_keep_what_was_used_last(tmp_path: Path) -> None:
    config = {"max_entries": 2, "maintenance_interval_ms": 86_400_000}
    with satchel.ToolCache(tmp_path / "store", config=config) as tools:
        tools.flush()
        for name in "abc":
            tools.persist(key(name), b"x", "read")
        assert tools.lookup(key("a"))
        assert tools.evict() == 1
        assert [tools.verify(key(name)) for name in "abc"] == [True, False, True]


def test_a_rebuild_and_a_flush(tools: satchel.ToolCache) -> None:
    tools.persist(key("k"), b"x", "read", roots=[root(tools, "a.txt")])
    tools.rebuild()
    tools.flush(timeout=30)
    assert tools.invalidate_path("a.txt") == 1
    with pytest.raises(ValueError, match="timeout"):
        tools.flush(-1)


def test_why_goes_root_by_root(tools: satchel.ToolCache, workspace: Path) -> None:
    (workspace / "b.txt").write_text("b")
    before = root(tools, "a.txt").expected_hash
    tools.persist(
        key("k"),
        b"x",
        "read",
        roots=[root(tools, "a.txt"), root(tools, "b.txt")],
        upstreams=[key("up")],
    )
    assert tools.why(key("k"))["state"] == "fresh"
    (workspace / "a.txt").write_text("two")
    (workspace / "b.txt").unlink()
    why = tools.why(key("k"))
    assert (why["key"], why["state"], why["kind"], why["bytes"]) == (key("k"), "stale", "read", 1)
    assert [r["path"] for r in why["roots"]] == ["a.txt", "b.txt"]
    assert [r["fresh"] for r in why["roots"]] == [False, False]
    assert (why["roots"][0]["expected"], why["roots"][1]["current"]) == (before, None)
    assert why["roots"][0]["current"] == tools.fingerprint("a.txt")
    assert why["upstreams"] == [{"key": key("up"), "present": False}]
    assert tools.why(key("nothing"))["state"] == "missing"


def test_a_line_a_call(tmp_path: Path) -> None:
    log = tmp_path / "calls.jsonl"
    with satchel.ToolCache(tmp_path / "store", config={"stats_path": str(log)}) as tools:
        tools.record("bash", "declined", 12, "ls -l", reason="no_rule")
        tools.record("bash", "hit", 3)
        begun = tools.get_or_begin(key("k"), "read", args_summary="a.txt")
        assert isinstance(begun, satchel.Lease)
        begun.commit(b"x")
        assert tools.get_or_begin(key("k"), "read", args_summary="a.txt")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    members = ["ts_us", "tool", "outcome", "duration_us", "args_summary", "reason"]
    assert [list(line) for line in lines] == [members] * 4
    assert [(line["tool"], line["outcome"], line["reason"]) for line in lines] == [
        ("bash", "declined", "no_rule"),
        ("bash", "hit", None),
        ("read", "miss", None),
        ("read", "hit", None),
    ]


# --------------------------------------------------------------------------------------- lifetime


def test_a_configuration_error_names_the_key(tmp_path: Path) -> None:
    with pytest.raises(satchel.ConfigError, match="max_bites"):
        satchel.ToolCache(tmp_path, config={"max_bites": 1})
    with pytest.raises(satchel.ConfigError, match="strict"):
        satchel.ToolCache(tmp_path, config='{"strict": 1}')
    with pytest.raises(TypeError):
        satchel.ToolCache(tmp_path, config=5)  # type: ignore[arg-type]


def test_a_cache_needs_a_store(tmp_path: Path) -> None:
    with pytest.raises(satchel.ArgumentError):
        satchel.ToolCache()
    (tmp_path / "file").touch()
    with pytest.raises(satchel.Error) as caught:
        satchel.ToolCache(tmp_path / "file")
    assert caught.value.name == "ERR_IO"


def test_two_caches_share_a_store(tools: satchel.ToolCache, tmp_path: Path) -> None:
    with satchel.ToolCache(os.fsencode(tmp_path / "store")) as other:
        other.persist(key("k"), b"theirs", "read")
        assert tools.lookup(key("k")).payload == b"theirs"
        assert tools.list()[0]["key"] == key("k")


def test_a_closed_cache_says_so_and_results_stay_readable(tmp_path: Path) -> None:
    tools = satchel.ToolCache(tmp_path / "store")
    tools.persist(key("k"), b"x" * 100_000, "read")
    found = tools.lookup(key("k"))
    file = found.open()
    lease = tools.get_or_begin(key("other"), "read")
    assert isinstance(lease, satchel.Lease)
    writer = tools.writer(key("third"), "read")
    assert repr(tools) == f"<satchel.ToolCache of {str(tmp_path / 'store')!r}, open>"
    tools.close()
    tools.close()
    assert tools.closed
    assert repr(tools).endswith("closed>")
    for ask in (
        lambda: tools.lookup(key("k")),
        lambda: tools.persist(key("k"), b"", "read"),
        lambda: lease.commit(b""),
        lambda: writer.write(b""),
        tools.stats,
        tools.__enter__,
    ):
        with pytest.raises(satchel.ClosedError):
            ask()
    assert found.payload == file.read() == b"x" * 100_000
    with lease:
        pass
    writer.abort()


def test_a_cache_that_is_dropped_unclosed_warns(tmp_path: Path) -> None:
    tools = satchel.ToolCache(tmp_path / "store")
    with pytest.warns(ResourceWarning, match=r"unclosed <satchel\.ToolCache of .*, open>"):
        del tools


def test_a_lease_and_a_writer_keep_their_cache(tmp_path: Path) -> None:
    for make in (
        lambda tools: tools.get_or_begin(key("k"), "read"),
        lambda tools: tools.writer(key("w"), "read"),
    ):
        tools = satchel.ToolCache(tmp_path / "store")
        reference = weakref.ref(tools)
        kept = make(tools)
        del tools
        gc.collect()
        alive = reference()
        assert alive is not None
        assert not alive.closed
        alive.close()
        del kept


def test_handles_cannot_be_copied(tools: satchel.ToolCache) -> None:
    tools.persist(key("k"), b"x", "read")
    lease = tools.get_or_begin(key("other"), "read")
    for handle in (tools, tools.lookup(key("k")), lease, tools.writer(key("w"), "read")):
        with pytest.raises(TypeError):
            pickle.dumps(handle)
        with pytest.raises(TypeError):
            copy.copy(handle)


def test_eight_threads_share_a_cache(tools: satchel.ToolCache) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for i in range(50):
                name = key(str(i % 7))
                payload = f"result {i % 7}".encode() * 100
                tools.persist(name, payload, "read", roots=[root(tools, "a.txt")])
                found = tools.lookup_revalidate(name)
                assert not found or found.payload == payload
                if i % 10 == number:
                    tools.invalidate_path("a.txt")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
