"""Many processes, one directory: one request."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hosts import eventually
from quota_processes import Asking, CommandLine, Places, elsewhere, options_of
from quota_server import NOTHING, Answer, Asked, Authority, QuotaServer, serving

Json = Any
PROCESSES = 50
CONFIG = {"timeout_ms": 120_000, "transcripts": {"enabled": False}}
BODY = json.dumps({"five_hour": {"utilization": 42.5, "resets_at": "2030-01-01T13:00:00Z"}})
SAID = Answer(body=BODY.encode())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def server(authority: Authority) -> Iterator[QuotaServer]:
    with serving(authority, lambda _: SAID) as server:
        yield server


@pytest.fixture
def asking() -> Iterator[Asking]:
    with Asking() as asking:
        yield asking


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "account")


def test_fifty_processes_on_a_cold_cache_make_one_request(
    authority: Authority, server: QuotaServer, asking: Asking, places: Places
) -> None:
    config = {**CONFIG, **elsewhere(server, authority)}
    askers = [asking.start(places, config) for _ in range(PROCESSES)]
    for asker in askers:
        asker.await_ready()
    for asker in askers:
        asker.begin()
    answers = [asker.answer() for asker in askers]
    assert Counter(answer["source"] for answer in answers) == {
        "endpoint": 1,
        "cache": PROCESSES - 1,
    }
    assert {answer["data"]["five_hour"]["utilization"] for answer in answers} == {42.5}
    assert len(server.requests) == 1
    for asker in askers:
        asker.end()


def test_fifty_processes_hear_one_refusal(
    authority: Authority, server: QuotaServer, asking: Asking, places: Places
) -> None:
    server.script = lambda _: Answer(401)
    config = {**CONFIG, **elsewhere(server, authority)}
    askers = [asking.start(places, config) for _ in range(PROCESSES)]
    for asker in askers:
        asker.await_ready()
    for asker in askers:
        asker.begin()
    answers = [asker.answer() for asker in askers]
    assert answers == [{"source": None, "error": "Unauthorized"}] * PROCESSES
    assert len(server.requests) == 1


def test_when_the_one_that_asks_is_killed_the_next_takes_over(
    authority: Authority, server: QuotaServer, asking: Asking, places: Places
) -> None:
    first_asked = threading.Event()

    def script(_: Asked) -> Answer:
        if first_asked.is_set():
            return SAID
        first_asked.set()
        return NOTHING

    server.script = script
    config = {**CONFIG, **elsewhere(server, authority)}
    askers = [asking.ready(places, config) for _ in range(10)]
    askers[0].begin()
    eventually(first_asked.is_set, "the first asks")
    for asker in askers[1:]:
        asker.begin()
    askers[0].kill()
    answers = [asker.answer() for asker in askers[1:]]
    assert Counter(answer["source"] for answer in answers) == {"endpoint": 1, "cache": 8}
    assert len(server.requests) == 2


def test_killed_over_and_over_nothing_is_left_that_blocks(
    authority: Authority, server: QuotaServer, asking: Asking, places: Places
) -> None:
    server.script = lambda _: NOTHING
    config = {**CONFIG, **elsewhere(server, authority)}
    for _ in range(5):
        asker = asking.ready(places, config)
        server.requests.clear()
        asker.begin()
        eventually(lambda: len(server.requests) == 1, "it asks")
        asker.kill()
    server.script = lambda _: SAID
    assert asking.ready(places, config).ask()["source"] == "endpoint"
    assert places.file("usage.lock").keys() == {"blocked_until"}
    left = [path.name for path in places.cache_dir.iterdir()]
    assert set(left) <= {"usage.json", "usage.lock", "satchel-fetch.lock"}


def test_command_lines_and_programs_share_the_request(
    authority: Authority, server: QuotaServer, asking: Asking, places: Places, tmp_path: Path
) -> None:
    command_line = CommandLine(tmp_path, elsewhere(server, authority))
    # Not the timeout of the command line: the machine may be busy.
    options = [*options_of(places), "--timeout", "120"]
    asker = asking.ready(places, {**CONFIG, **elsewhere(server, authority)})
    shown = [command_line.start(*options, "--json") for _ in range(5)]
    asker.begin()
    sources = [asker.answer()["source"]]
    for process in shown:
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
        sources.append(json.loads(out)["source"])
    assert Counter(sources) == {"endpoint": 1, "cache": 5}
    assert len(server.requests) == 1
    line = command_line.run(*options, "--line")
    assert (line.returncode, line.stderr) == (0, "")
    assert line.stdout.startswith("5h 42%")
    drawn = command_line.run(*options)
    assert (drawn.returncode, drawn.stderr) == (0, "")
    assert "usage.json" in drawn.stdout
    assert len(server.requests) == 1


def test_a_line_refreshes_behind_whoever_reads_it(
    authority: Authority, server: QuotaServer, places: Places, tmp_path: Path
) -> None:
    stale = {"five_hour": {"utilization": 7.0, "resets_at": None}}
    places.cache_dir.mkdir()
    (places.cache_dir / "usage.json").write_text(
        json.dumps({"schema_version": 1, "cached_at": "2026-01-01T00:00:00Z", "data": stale})
    )
    command_line = CommandLine(tmp_path, elsewhere(server, authority))
    options = [*options_of(places), "--timeout", "120"]
    before = command_line.run("--line", *options)
    assert before.stdout.startswith("5h 7%")
    assert "stale" in before.stdout
    eventually(lambda: places.file("usage.lock") is not None, "somebody asks for the next line")
    after = command_line.run("--line", *options)
    assert after.stdout.startswith("5h 42%")
    assert "stale" not in after.stdout
    assert len(server.requests) == 1
