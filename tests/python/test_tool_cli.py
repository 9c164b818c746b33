"""`python -m satchel tools`, through a subprocess."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import satchel


def key(name: str) -> str:
    return satchel.tool_key(name.encode())


class Place:
    """A store with some entries, and the command line over it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = directory / "store"
        self.workspace = directory / "work"
        self.workspace.mkdir()
        (self.workspace / "a.txt").write_text("one")
        (self.workspace / "b.txt").write_text("b")
        with self.open() as tools:
            for name, kind, root in (("a", "read", "a.txt"), ("b", "read", "b.txt")):
                fingerprint = tools.fingerprint(root)
                assert fingerprint is not None
                tools.persist(key(name), name.encode() * 1000, kind, roots=[(root, fingerprint)])
            tools.persist(key("c"), b"c", "bash", upstreams=[key("a")])

    def open(self) -> satchel.ToolCache:
        return satchel.ToolCache(self.store, workspace=self.workspace)

    def payload(self, name: str) -> Path:
        return self.store / key(name)[:2] / f"{key(name)}.payload"

    def run(
        self, *arguments: object, code: int = 0, options: bool = True
    ) -> subprocess.CompletedProcess[str]:
        given = ["--store", self.store, "--workspace", self.workspace] if options else []
        environment = {n: v for n, v in os.environ.items() if n != "SATCHEL_TOOL_STORE"}
        done = subprocess.run(
            [sys.executable, "-m", "satchel", "tools", *map(str, [*given, *arguments])],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.directory,
            env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            timeout=60,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def json(self, *arguments: object, code: int = 0) -> Any:
        done = self.run(*arguments, "--json", code=code)
        assert done.stderr == ""
        return json.loads(done.stdout)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# ------------------------------------------------------------------------------------------- stats


def test_stats(place: Place) -> None:
    stats = place.json("stats")
    assert list(stats) == [
        "store", "workspace", "index", "entries", "bytes", "disk_bytes", "kinds",
        "oldest_written_ns", "calls",
    ]  # fmt: skip
    assert (stats["entries"], stats["bytes"], stats["calls"]) == (3, 2001, None)
    assert {kind: totals["entries"] for kind, totals in stats["kinds"].items()} == {
        "bash": 1,
        "read": 2,
    }
    lines = place.run("stats").stdout.splitlines()
    assert lines[0] == f"store   {place.store}"
    assert lines[4].split() == ["kind", "entries", "bytes", "on", "disk"]
    assert [line.split()[:3] for line in lines[5:]] == [
        ["bash", "1", "1"],
        ["read", "2", "2.0"],
        ["all", "3", "2.0"],
    ]


def test_stats_with_the_hit_rate(place: Place, tmp_path: Path) -> None:
    log = tmp_path / "calls.jsonl"
    with satchel.ToolCache(place.store, config={"stats_path": str(log)}) as tools:
        for outcome in ("hit", "hit", "hit", "miss", "declined"):
            tools.record("read", outcome, 1)
        tools.record("web", "uncached", 1, reason="network")
    with log.open("a") as lines:
        lines.write("garbage\n[]\n")
    calls = place.json("stats", "--stats-file", log)["calls"]
    assert (calls["hit_rate"], calls["unreadable_lines"], calls["path"]) == (0.75, 2, str(log))
    assert calls["outcomes"] == {"declined": 1, "hit": 3, "miss": 1, "uncached": 1}
    assert calls["tools"]["web"] == {"outcomes": {"uncached": 1}, "hit_rate": None}
    assert calls["first_ts_us"] <= calls["last_ts_us"]
    printed = place.run("stats", "--stats-file", log).stdout.splitlines()
    assert [line.split()[-2:] for line in printed if line.startswith(("read", "all"))] == [
        ["75.0", "%"],
        ["75.0", "%"],
    ]
    assert "web" in printed[-2]
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"stats_path": str(log)}))
    assert place.json("stats", "--config", config)["calls"] == calls
    assert "no statistics file" in place.run("stats", "--stats-file", "nowhere", code=2).stderr


# ---------------------------------------------------------------------------------------------- ls


def test_ls(place: Place) -> None:
    keys = sorted(key(name) for name in "abc")
    listed = place.json("ls")
    assert [entry["key"] for entry in listed] == keys
    assert set(listed[0]) == {"key", "kind", "bytes", "disk_bytes", "written_ns", "used_ns"}
    assert [entry["key"] for entry in place.json("ls", "--limit", 2)] == keys[:2]
    assert [entry["key"] for entry in place.json("ls", "--kind", "bash")] == [key("c")]
    by_size = [entry["disk_bytes"] for entry in place.json("ls", "--by-size")]
    assert by_size == sorted(by_size, reverse=True)
    with place.open() as tools:
        assert tools.lookup(key("b"))
        tools.flush()
    assert place.json("ls", "--by-use", "--limit", 1)[0]["key"] == key("b")
    lines = place.run("ls").stdout.splitlines()
    assert lines[0].split() == ["key", "kind", "bytes", "on", "disk", "written", "used"]
    assert [line.split()[0] for line in lines[1:]] == [each[:16] for each in keys]
    assert place.json("ls", "--kind", "nothing") == []


# --------------------------------------------------------------------------------------------- why


def test_why(place: Place) -> None:
    assert place.json("why", key("a"))["state"] == "fresh"
    short = key("a")[:12]
    assert "fresh: it would be served" in place.run("why", short).stdout
    (place.workspace / "a.txt").write_text("two")
    why = place.json("why", short)
    assert (why["key"], why["state"]) == (key("a"), "stale")
    printed = place.run("why", short).stdout
    assert f"root      a.txt: changed: it was {why['roots'][0]['expected']}" in printed
    (place.workspace / "a.txt").unlink()
    assert "a.txt" in place.run("why", short).stdout
    assert f"upstream  {key('a')}: there" in place.run("why", key("c")).stdout
    assert place.json("why", key("nothing"), code=1)["state"] == "missing"


def test_the_beginning_of_a_key_must_mean_one(place: Place) -> None:
    first = {key(str(i))[0]: key(str(i)) for i in range(100)}
    assert len(first) == 16
    with place.open() as tools:
        for i in range(100):
            tools.persist(key(str(i)), b"x", "read")
    assert "several keys begin with 0:" in place.run("why", "0", code=2).stderr
    assert "several keys begin with f:" in place.run("why", "f", code=2).stderr
    lowest = min(key(str(i)) for i in range(100))
    assert place.json("why", lowest[:10])["key"] == lowest
    assert "no key begins with" in place.run("why", "0" * 20, code=2).stderr
    for bad in ("xyz", "A", "0" * 65, ""):
        assert "is no key" in place.run("why", bad, code=2).stderr


# ---------------------------------------------------------------------------------- what changes it


def test_invalidate(place: Place) -> None:
    assert place.json("invalidate", "a.txt") == {"path": "a.txt", "matches": 1, "dropped": 2}
    printed = place.run("invalidate", place.workspace / "b.txt").stdout
    assert printed.startswith("1 entry dropped, 1 of them with ")
    assert place.json("ls") == []
    assert place.json("invalidate", "a.txt")["dropped"] == 0


def test_evict(place: Place, tmp_path: Path) -> None:
    assert place.json("evict", "--max-entries", 2)["evicted"] == 1
    assert place.json("evict", "--max-age", "1h") | {"disk_bytes": 0} == {
        "evicted": 0,
        "entries": 2,
        "disk_bytes": 0,
    }
    config = tmp_path / "config.json"
    config.write_text('{"max_entries": 1}')
    assert "1 entry removed, 1 left with " in place.run("evict", "--config", config).stdout
    assert place.json("evict", "--max-bytes", "10")["entries"] == 0
    assert "evict to what?" in place.run("evict", code=2).stderr


def test_verify(place: Place) -> None:
    whole = {"checked": 3, "whole": 3, "incomplete": 0, "damaged": []}
    assert place.json("verify") == whole
    assert place.run("verify").stdout == "3 checked, 3 whole, 0 incomplete, 0 damaged\n"
    place.payload("a").write_bytes(b"evil")
    checked = place.json("verify", code=1)
    assert (checked["checked"], checked["whole"]) == (3, 2)
    [damaged] = checked["damaged"]
    assert (damaged["key"], damaged["kind"]) == (key("a"), "read")
    done = place.run("verify", code=1)
    assert done.stdout.splitlines()[0].startswith(f"{key('a')}  read  ")
    assert done.stderr == ""  # it was quick
    assert place.payload("a").exists()


def test_verify_shows_a_bar_on_a_terminal(place: Place) -> None:
    pty = pytest.importorskip("pty")
    controller, terminal = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run(
        [sys.executable, "-m", "satchel", "tools", "--store", place.store, "verify"],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        env=environment,
        timeout=60,
    )
    os.close(terminal)
    shown = os.read(controller, 10_000).decode()
    os.close(controller)
    assert shown.endswith(f"\rverifying [{'#' * 30}] 3/3\r\n")


def test_progress_elsewhere_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from satchel._cli.progress import Progress

    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    progress = Progress("verifying", 10)
    for done in range(1, 11):
        now[0] += 1.0
        progress.at(done)
    progress.end(10)
    assert capsys.readouterr().err == "verifying: 5 of 10\nverifying: 10 of 10\n"


def test_rebuild_and_sweep(place: Place) -> None:
    assert place.json("rebuild")["entries"] == 3
    assert place.run("rebuild").stdout.startswith("3 entries in the index, ")
    assert place.json("sweep") == {"removed": 0}
    place.payload("c").unlink()
    meta = place.payload("c").with_name(f"{key('c')}.meta.json")
    assert place.run("sweep", "--min-age", "1d").stdout == "0 files removed\n"
    assert place.run("sweep", "--min-age", "0").stdout == "1 file removed\n"
    assert not meta.exists()


# ----------------------------------------------------------------------------------------- trouble


def test_a_store_that_is_not_there_is_not_made(place: Place, tmp_path: Path) -> None:
    for command in (
        ["stats"], ["ls"], ["why", "00"], ["verify"], ["invalidate", "a"], ["rebuild"], ["sweep"],
        ["evict", "--max-entries", "1"],
    ):  # fmt: skip
        done = place.run("--store", tmp_path / "nowhere", *command, code=2, options=False)
        assert (done.stdout, done.stderr) == (
            "",
            f"satchel: there is no store {tmp_path / 'nowhere'}\n",
        )
    assert not (tmp_path / "nowhere").exists()
    done = place.run("stats", code=2, options=False)
    assert done.stderr == "satchel: which store? Give --store DIR, or set SATCHEL_TOOL_STORE\n"
    done = place.run("--store", place.workspace, "stats", code=2, options=False)
    assert "is no tool store" in done.stderr
    assert not (place.workspace / ".satchel").exists()


def test_the_store_may_stand_in_the_environment(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import sys; from satchel._cli import main; sys.exit(main(['tools', 'ls', '--json']))"
    monkeypatch.setenv("SATCHEL_TOOL_STORE", str(place.store))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert len(json.loads(done.stdout)) == 3


def test_options_stand_before_or_behind_the_command(place: Place) -> None:
    done = place.run("--json", "ls", "--store", place.store, options=False)
    assert len(json.loads(done.stdout)) == 3
    done = place.run("ls", "--json", "--store", place.store, options=False)
    assert len(json.loads(done.stdout)) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"], ["why"], ["ls", "--limit", "0"], ["ls", "--by-use", "--by-size"],
        ["evict", "--max-bytes", "much"], ["sweep", "--min-age", "soon"], [],
    ],
)  # fmt: skip
def test_wrong_usage_is_2(place: Place, arguments: list[str]) -> None:
    done = place.run(*arguments, code=2)
    assert "usage: python -m satchel tools" in done.stderr
    assert "Traceback" not in done.stderr


def test_errors_are_one_line(place: Place, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    for text, said in (("{", "is not JSON"), ("[]", "no JSON object"), ('{"a": 1}', "unknown key")):
        config.write_text(text)
        done = place.run("stats", "--config", config, code=2)
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("satchel: ")


def test_amounts() -> None:
    import argparse

    from satchel._cli import amounts

    assert [amounts.byte_count(text) for text in ("7", "1K", "1.5MiB", "2g")] == [
        7, 1024, 3 << 19, 2 << 30,
    ]  # fmt: skip
    assert [amounts.seconds(text) for text in ("7", "2m", "1.5h", "1d", "1w")] == [
        7, 120, 5400, 86400, 604800,
    ]  # fmt: skip
    for parse in (amounts.byte_count, amounts.seconds, amounts.positive):
        with pytest.raises(argparse.ArgumentTypeError):
            parse("-1")
    assert [amounts.shown_bytes(n) for n in (0, 1023, 1024, 3 << 19, 5 << 40)] == [
        "0 B", "1023 B", "1.0 KiB", "1.5 MiB", "5.0 TiB",
    ]  # fmt: skip
    assert amounts.shown_rate(None) == "-"


def test_the_group_is_found_from_the_top() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "satchel", "--version"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.stdout == f"satchel {satchel.__version__}\n"
