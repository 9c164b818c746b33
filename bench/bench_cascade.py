"""What the cascade costs, against the reference's own crate on the same files in the same run.

    bench_cascade.py [--quick] [--driver PATH] [--author PATH]

Prints rows `name  target  figure  verdict`. The library is timed inside bench_cascade (C++, over
the C ABI), the reference inside tests/reference/linesmith: neither pipe nor Python is in the
figures. Both look at the same cache and read the same 512 MB of transcripts, which
bench_transcripts writes; --quick makes it 64 MB. Where the reference cannot be built, the library's
own figures are all there is.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "reference"))

from bench_tool_cache import Driver, DriverError, report, row
from build_reference import BuildError, NotAvailableError, build
from peer import PeerError
from usage_peer import UsagePeer, places

ROOT = Path(__file__).resolve().parents[1]
CACHED = 2  # SATCHEL_USAGE_CACHE
BODY = (
    b'{"five_hour": {"utilization": 22.0, "resets_at": "2026-04-19T05:00:00.112536+00:00"},'
    b' "seven_day": {"utilization": 33.0, "resets_at": "2026-04-23T19:00:01.112554+00:00"},'
    b' "seven_day_oauth_apps": null, "seven_day_opus": null, "seven_day_sonnet":'
    b' {"utilization": 0.0, "resets_at": "2026-04-24T16:00:00.112562+00:00"},'
    b' "limits": [{"kind": "weekly_scoped", "percent": 82, "scope": {"model": {"display_name":'
    b' "Fable"}}}], "iguana_necktie": null, "extra_usage": {"is_enabled": false}}'
)


@dataclass
class Sides:
    ours: Driver
    theirs: UsagePeer | None
    folder: Path
    quick: bool

    def in_turn(
        self, rounds: int, ours: Callable[[], float], theirs: Callable[[], float]
    ) -> tuple[float, float | None]:
        """The medians of both, in microseconds; nothing of a reference that is not there."""
        mine, others = [], []
        for _ in range(rounds):
            mine.append(ours())
            if self.theirs is not None:
                others.append(theirs())
        return statistics.median(mine), statistics.median(others) if others else None


def fresh_answer(answer: tuple[float, int]) -> float:
    if answer[1] != CACHED:
        raise DriverError(f"the answer came from source {answer[1]}, not from the cache")
    return answer[0]


def write_fresh_cache(sides: Sides, cache_dir: Path) -> None:
    """A cache that stays fresh for as long as this runs, and was written a while ago."""
    if sides.theirs is not None:
        sides.theirs.write_cache(cache_dir, BODY)
        return
    text = '{"schema_version": 1, "cached_at": "2020-01-01T00:00:00Z", "data": {}}'
    cache_dir.mkdir(parents=True)
    (cache_dir / "usage.json").write_text(text)


def bench_fresh(sides: Sides) -> None:
    cache_dir = sides.folder / "cache"
    write_fresh_cache(sides, cache_dir)
    config = '{"cache_duration_s": 31000000}'
    sides.ours.ask("open", cache_dir, sides.folder / "none", config)
    rounds = 5 if sides.quick else 15

    def theirs() -> float:
        assert sides.theirs is not None
        return sides.theirs.bench_fresh(cache_dir, 2000) / 1000

    ours, reference = sides.in_turn(
        rounds, lambda: fresh_answer(sides.ours.ask("fresh", 2000)), theirs
    )
    report("cascade: fresh cache", 2, ours, reference)
    first = fresh_answer(sides.ours.ask("first", cache_dir, config, 2000))
    row("  the library, opened and closed for each question", "-", f"{first:.2f} us")
    row(
        "cascade: observe the headers of an answer",
        "-",
        f"{sides.ours.ask('observe', 20000)[0]:.2f} us",
    )


def bench_transcripts(sides: Sides, author: Path) -> None:
    megabytes = 64 if sides.quick else 512
    config_dir = sides.folder / "claude"
    print(f"  ... writing {megabytes} MB of transcripts", file=sys.stderr, flush=True)
    subprocess.run(
        [author, "--megabytes", str(megabytes), "--rounds", "0", "--keep", str(config_dir)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    cache_dir = sides.folder / "states"
    config = '{"transcripts": {"dedup": "first", "depth": 1}}'
    tokens = []

    def read(*, cold: bool) -> float:
        if cold:
            shutil.rmtree(cache_dir, ignore_errors=True)
        sides.ours.ask("open", cache_dir, config_dir, config)
        took, number = sides.ours.ask("transcripts")
        tokens.append(number)
        return took

    def theirs() -> float:
        assert sides.theirs is not None
        return sides.theirs.bench_aggregate(places(config_dir), 1)[0] * 1e6

    rounds = 3 if sides.quick else 5
    name = f"cascade: {megabytes} MB of transcripts"
    ours, reference = sides.in_turn(rounds, lambda: read(cold=True), theirs)
    report(f"{name}, cold", 3, ours, reference)
    unchanged = statistics.median(read(cold=False) for _ in range(rounds))
    report(f"{name}, unchanged, by a process that begins", 100, unchanged, reference)
    again = statistics.median(sides.ours.ask("transcripts")[0] for _ in range(rounds))
    report(f"{name}, unchanged, by one that goes on", 100, again, reference)
    # The window moves with the clock, and leaves entries behind; it never finds another one.
    if tokens != sorted(tokens, reverse=True) or tokens[-1] < 0.9 * tokens[0]:
        raise DriverError(f"the sums differ from round to round: {tokens}")


def reference_program() -> Path | None:
    try:
        return build("linesmith")
    except NotAvailableError as why:
        print(f"the reference is not available: {why}", flush=True)
        return None


def run(options: argparse.Namespace) -> None:
    reference = reference_program()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="satchel-bench-")))
        ours = Driver(options.driver)
        stack.callback(ours.stop)
        theirs = None
        if reference is not None:
            theirs = UsagePeer("reference", [str(reference)], cwd=folder)
            stack.callback(theirs.stop)
        row("name", "target", "figure")
        sides = Sides(ours, theirs, folder, options.quick)
        bench_fresh(sides)
        bench_transcripts(sides, options.author)


def main() -> int:
    parser = argparse.ArgumentParser(description="What the cascade costs")
    built = ROOT / "build" / "release" / "bench"
    parser.add_argument("--driver", type=Path, metavar="PATH", default=built / "bench_cascade")
    parser.add_argument("--author", type=Path, metavar="PATH", default=built / "bench_transcripts")
    parser.add_argument("--quick", action="store_true")
    try:
        run(parser.parse_args())
    except (BuildError, DriverError, PeerError, OSError, subprocess.CalledProcessError) as error:
        print(f"bench_cascade: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
