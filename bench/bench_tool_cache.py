"""What the tool cache costs, against the reference's own crate on the same store in the same run.

    bench_tool_cache.py [--quick] [--driver PATH]

Prints rows `name  target  figure  verdict`. The library is timed inside bench_tool_cache (C++, over
the C ABI), the reference inside tests/reference/verdant: neither pipe nor Python is in the figures.
Both hold the same store open; short operations take turns over many rounds, and a figure is the
median of the rounds. The reference needs over a minute to invalidate one path among 100,000
entries: it is asked once. --quick makes it 10,000 entries. Where the reference cannot be built, the
library's own figures are all there is.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "reference"))

from build_reference import BuildError, NotAvailableError, build
from peer import Cache, Peer, PeerError

ROOT = Path(__file__).resolve().parents[1]
KB, MB = 1000, 1_000_000
MATCHES = 99  # entries that share a file


class DriverError(Exception):
    """The driver said that it cannot, or ended."""


class Driver:
    """The library behind bench_tool_cache.cpp."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, *words: object) -> tuple[float, int]:
        """The median in microseconds, and the number that came with it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        command = "\t".join(map(str, words))
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer or answer.startswith("error"):
            raise DriverError(f"{command!r}: {answer.strip() or 'the driver ended'}")
        _, median, number = answer.split()
        return int(median) / 1000, int(number)

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


@dataclass
class Sides:
    """Both, with the same store open."""

    ours: Driver
    theirs: Cache | None
    workspace: Path
    quick: bool

    @property
    def rounds(self) -> int:
        return 5 if self.quick else 15

    def at_full_size(self, limit: int) -> int:
        """A limit that is meant for 100,000 entries; none for fewer."""
        return 0 if self.quick else limit

    def timed(self, what: str, times: int, **fields: object) -> float:
        """The reference's median of `times`, in microseconds."""
        assert self.theirs is not None
        found = self.theirs.ask("bench", what=what, times=times, **fields)
        return float(found["median_ns"]) / 1000

    def in_turn(
        self, ours: Callable[[], float], theirs: Callable[[], float]
    ) -> tuple[float, float | None]:
        """The medians of both over all rounds; nothing of a reference that is not there."""
        mine, others = [], []
        for _ in range(self.rounds):
            mine.append(ours())
            if self.theirs is not None:
                others.append(theirs())
        return statistics.median(mine), statistics.median(others) if others else None


def row(name: str, target: str, figure: str, verdict: str = "") -> None:
    print(f"{name:<74} {target:<12} {figure:>14} {verdict}".rstrip(), flush=True)


def in_units(us: float) -> str:
    if us < 1000:
        return f"{us:.2f} us"
    return f"{us / 1000:.2f} ms" if us < 1_000_000 else f"{us / 1_000_000:.1f} s"


def report(name: str, limit: int, ours: float, theirs: float | None) -> None:
    """Our time as a part of the reference's, then both. Without a limit no verdict."""
    if theirs is None:
        row(name, "-", in_units(ours))
        return
    target = f"<= 1/{limit:,}" if limit else "-"
    verdict = ("ok" if ours * limit <= theirs else "MISSED") if limit else ""
    row(f"{name}, against the reference", target, f"1/{theirs / ours:,.1f}", verdict)
    row("  the library", "-", in_units(ours))
    row("  the reference", "-", in_units(theirs))


@contextlib.contextmanager
def progress(what: str) -> Iterator[None]:
    """Says on standard error what takes long, and every ten seconds that it still does."""
    done = threading.Event()
    start = time.monotonic()

    def say() -> None:
        while not done.wait(10):
            print(f"  ... {what}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)

    print(f"  ... {what}", file=sys.stderr, flush=True)
    thread = threading.Thread(target=say)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def fill(sides: Sides, entries: int, files: int) -> None:
    """Entries of 1 KB, each with one of `files` files as its root."""
    if sides.theirs is None:
        fill_by_ourselves(sides, entries, files)
        return
    step = entries // 10
    for first in range(0, entries, step):
        print(f"  ... the reference stores {first} of {entries}", file=sys.stderr, flush=True)
        sides.theirs.ask("fill", first=first, count=step, files=files, payload_bytes=KB)


def fill_by_ourselves(sides: Sides, entries: int, files: int) -> None:
    folder = sides.workspace / "fill"
    folder.mkdir()
    for file in range(files):
        (folder / f"{file}.txt").write_text(f"file {file}\n")
    for number in range(entries):
        if number % (entries // 10) == 0:
            print(f"  ... storing {number} of {entries}", file=sys.stderr, flush=True)
        sides.ours.ask("persist", f"{number:064x}", KB, f"fill/{number % files}.txt", 1)


def bench_revalidation(sides: Sides, size: str, length: int, limit: int, times: int) -> None:
    path = sides.workspace / f"root of {size}"
    path.write_bytes(os.urandom(length))
    key = f"{length:064x}"
    if sides.theirs is not None:
        fingerprint = sides.theirs.fingerprint(path, "content") or ""
        sides.theirs.persist(key, b"p" * 4 * KB, "read", ((path.name, fingerprint),))
    else:
        sides.ours.ask("persist", key, 4 * KB, path.name, 1)
    # A file just written is hashed until its times are past; this waits for that.
    sides.ours.ask("revalidate", key, 1)
    sides.ours.ask("flush")
    ours, theirs = sides.in_turn(
        lambda: sides.ours.ask("revalidate", key, 500)[0],
        lambda: sides.timed("revalidate", times, key=key),
    )
    report(f"tool cache: revalidate, {size} root", limit, ours, theirs)


def bench_open(sides: Sides, entries: int) -> None:
    known = set()

    def reopen() -> float:
        took, count = sides.ours.ask("reopen", 5, "")
        known.add(count)
        return took

    ours, theirs = sides.in_turn(reopen, lambda: sides.timed("open", 1))
    if len(known) != 1 or min(known) < entries:
        raise DriverError(f"{known} entries after opening, of {entries}")
    report(f"tool cache: open, {entries:,} entries", sides.at_full_size(500), ours, theirs)


def bench_invalidation(sides: Sides, entries: int) -> None:
    def matching(answer: tuple[float, int]) -> float:
        if answer[1] != MATCHES:
            raise DriverError(f"{answer[1]} entries had the file, not {MATCHES}")
        return answer[0]

    def ours_with(file: int) -> float:
        return matching(sides.ours.ask("invalidate_path", sides.workspace / "fill" / f"{file}.txt"))

    sides.ours.ask("flush")
    ours = statistics.median(ours_with(file) for file in range(50, 59))
    theirs = None
    if sides.theirs is not None:
        path = str(sides.workspace / "fill" / "60.txt")
        with progress("the reference invalidates one path"):
            answer = sides.theirs.ask("bench", what="invalidate_path", times=1, path=path)
        theirs = matching((answer["median_ns"] / 1000, answer["last"]))
    name = f"tool cache: invalidate_path, {MATCHES} of {entries:,} entries"
    report(name, sides.at_full_size(5000), ours, theirs)
    if theirs is not None:
        row("  right after the reference changed the store", "-", in_units(ours_with(61)))


def bench_persist(sides: Sides) -> None:
    key = "77" * 32
    payload = "cHBw" * (4 * KB // 3)
    ours, theirs = sides.in_turn(
        lambda: sides.ours.ask("persist", key, 4 * KB, "", 100)[0],
        lambda: sides.timed("persist", 100, key=key, payload_b64=payload),
    )
    report("tool cache: persist, 4 KB", 0, ours, theirs)


def bench(sides: Sides) -> None:
    entries = 10_000 if sides.quick else 100_000
    bench_revalidation(sides, "4 KB", 4 * KB, limit=4, times=500)
    bench_revalidation(sides, "10 MB", 10 * MB, limit=200, times=10 if sides.quick else 30)
    bench_persist(sides)
    fill(sides, entries, entries // MATCHES)
    with progress("indexing what was stored"):
        sides.ours.ask("flush")
        took = sides.ours.ask("rebuild")[0]
    row(f"tool cache: rebuild of the index, {entries:,} entries", "-", in_units(took))
    bench_open(sides, entries)
    bench_invalidation(sides, entries)


def reference_program() -> Path | None:
    try:
        return build()
    except NotAvailableError as why:
        print(f"the reference is not available: {why}", flush=True)
        return None


def run(options: argparse.Namespace) -> None:
    reference = reference_program()
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="satchel-bench-"))
        store, workspace = Path(directory) / "store", Path(directory) / "workspace"
        workspace.mkdir()
        ours = Driver(options.driver)
        stack.callback(ours.stop)
        ours.ask("open", store, workspace)
        theirs = None
        if reference is not None:
            peer = Peer("reference", [str(reference)], cwd=workspace)
            stack.callback(peer.stop)
            theirs = peer.open(store, workspace)
        row("name", "target", "figure")
        bench(Sides(ours, theirs, workspace, options.quick))


def main() -> int:
    parser = argparse.ArgumentParser(description="What the tool cache costs")
    built = ROOT / "build" / "release" / "bench" / "bench_tool_cache"
    parser.add_argument("--driver", type=Path, metavar="PATH", default=built)
    parser.add_argument("--quick", action="store_true")
    try:
        run(parser.parse_args())
    except (BuildError, DriverError, PeerError, OSError) as error:
        print(f"bench_tool_cache: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
