"""`make demo` as a stranger sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from agent import Usage
from processes import REPOSITORY
from run import Bill, wrong_with


def command(library: Path, demo_host: Path, *more: str) -> list[str]:
    script = str(REPOSITORY / "demo" / "run.py")
    return [sys.executable, script, "--library", str(library), "--demo-host", str(demo_host), *more]


def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(tmp_path)}


def rows(output: str) -> list[list[str]]:
    """The table's cells."""
    lines = [line.replace(",", "").split() for line in output.splitlines()]
    return [cells for cells in lines if len(cells) == 8 and cells[0].isdigit()]


def test_the_demo_creates_then_reads_and_leaves_nothing(
    library: Path, demo_host: Path, tmp_path: Path
) -> None:
    result = subprocess.run(
        command(library, demo_host),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment(tmp_path),
    )
    assert result.returncode == 0, result.stderr
    table = rows(result.stdout)
    assert [cells[0] for cells in table] == [str(turn) for turn in range(1, 13)]
    assert [cells[1] for cells in table] == ["streamed", "whole"] * 6
    numbers = [[int(cell) for cell in cells[2:]] for cells in table]
    for turn, (prompt, read, created_5m, created_1h, created_24h, _micros) in enumerate(numbers):
        assert prompt >= read + created_5m + created_1h + created_24h
        if turn == 0:
            assert (read, created_24h) == (0, 0)
            assert created_1h > 10_000
            assert created_5m > 0
        else:
            before = numbers[turn - 1]
            assert read == before[1] + before[2] + before[3]
            assert created_5m > 0
            assert created_1h == 0
    assert "saved" in result.stdout
    assert "OPENAI_BASE_URL" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_stops_everything_and_leaves_nothing(
    library: Path, demo_host: Path, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        command(library, demo_host, "--turns", "2", "--serve"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
        # What a shell runs in the background, perhaps these tests, has it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "stays up until Ctrl-C" in line:
            break
    process.send_signal(signal.SIGINT)
    # The pipe ends only when nobody is left who holds it.
    _out, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == ""
    assert list(tmp_path.iterdir()) == []


def test_a_library_that_is_not_there_is_named(demo_host: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        command(tmp_path / "libnothing.so", demo_host),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert "libnothing.so" in result.stderr


@pytest.mark.parametrize(
    ("turn", "usage", "says"),
    [
        (1, Usage(2000, 0, 100, 1500, 0), ""),
        (1, Usage(2000, 0, 0, 0, 0), "turn 1 should create"),
        (1, Usage(2000, 1600, 0, 0, 0), "turn 1 should create"),
        (2, Usage(2000, 1600, 100, 0, 0), ""),
        (2, Usage(2000, 0, 100, 1500, 0), "turn 2 should read"),
        (3, Usage(2000, 1900, 200, 0, 0), "more cached tokens than its prompt has"),
    ],
)
def test_the_demo_says_what_is_wrong(turn: int, usage: Usage, says: str) -> None:
    found = wrong_with(turn, usage)
    assert says in found
    assert bool(says) == bool(found)


def test_the_bill_prices_reads_and_tiers() -> None:
    bill = Bill()
    bill.add(Usage(1000, 0, 400, 500, 0))
    assert bill.paid == pytest.approx(100 + 1.25 * 400 + 2 * 500)
    bill.add(Usage(1000, 900, 0, 0, 0))
    assert bill.paid == pytest.approx(1600 + 100 + 90)
    assert bill.prompt == 2000
