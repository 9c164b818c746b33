"""A fleet on one index: 2,000 requests a second through four processes.

    bench_fleet.py [--quick] [--rate N] [--processes N] [--seconds N]

Starts PostgreSQL and Redis, then the processes (bench_fleet.cpp), once over PostgreSQL alone and
once with Redis in front; prints rows `name  target  figure  verdict`. Load, index and library share
the machine's processors, so that the figures are worse than those of a fleet.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))

from index_servers import Postgres, Redis
from processes import StartError, find_built

Json = Any
MODELS = {"*": {"enabled": True, "min_prefix_tokens": 256}}


def drive(config: Json, options: argparse.Namespace) -> list[Json]:
    """What each process measured."""
    program = str(find_built("**/bench_fleet"))
    rate = options.rate / options.processes
    processes = [
        subprocess.Popen(
            [program, json.dumps(config), str(rate), str(options.seconds), str(seed + 1)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in range(options.processes)
    ]
    outputs = [process.communicate(timeout=options.seconds + 120)[0] for process in processes]
    if any(process.returncode != 0 for process in processes):
        raise StartError("a process of the fleet failed")
    return [json.loads(output) for output in outputs]


def row(name: str, figure: float, unit: str, target: str = "-") -> None:
    print(f"{name:<72} {target:<19} {figure:9.1f} {unit}", flush=True)


def report(name: str, measured: list[Json]) -> None:
    requests = sum(one["requests"] for one in measured)
    # Of percentiles there is no mean: the worst process stands for all.
    for key, meaning in (("in_calls_us", "calls before the usage"), ("waited_us", "usage held")):
        for part in ("p50", "p99"):
            worst = max(one[f"{key}_{part}"] for one in measured)
            row(f"fleet, {name}: {meaning}, {part}", worst, "us")
    row(f"fleet, {name}: requests", sum(o["requests"] / o["seconds"] for o in measured), "/s")
    row(f"fleet, {name}: begun late, p99", max(one["late_us_p99"] for one in measured), "us")
    row(f"fleet, {name}: hits", 100 * sum(one["hits"] for one in measured) / requests, "%")
    row(f"fleet, {name}: uncached", 100 * sum(o["uncached"] for o in measured) / requests, "%")


def report_postgres(postgres: Postgres, name: str) -> None:
    rows, table, indexes = map(
        int,
        postgres.query(
            "SELECT count(*), pg_table_size('prompt_cache_entries'),"
            " pg_indexes_size('prompt_cache_entries') FROM prompt_cache_entries"
        ).split("|"),
    )
    row(f"fleet, {name}: rows", rows, "")
    row(f"fleet, {name}: bytes of table an entry", table / max(rows, 1), "B")
    row(f"fleet, {name}: bytes of indexes an entry", indexes / max(rows, 1), "B")
    updates, hot = map(
        int,
        postgres.query(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables"
            " WHERE relname = 'prompt_cache_entries'"
        ).split("|"),
    )
    row(f"fleet, {name}: updates of rows", updates, f"({hot} within their page)")


def report_redis(redis: Redis, before: int, name: str) -> None:
    used = memory_used(redis) - before
    keys = int(redis.command("DBSIZE"))
    row(f"fleet, {name}: keys in Redis", keys, "")
    row(f"fleet, {name}: bytes of Redis a key", used / max(keys, 1), "B")


def memory_used(redis: Redis) -> int:
    info = dict(
        line.split(":", 1) for line in redis.command("INFO", "memory").splitlines() if ":" in line
    )
    return int(info["used_memory"])


def run(options: argparse.Namespace) -> None:
    print(f"{'name':<72} {'target':<19} figure")
    postgres = Postgres()
    try:
        index: Json = {"kind": "postgres", "postgres": {"url": postgres.url}}
        report("PostgreSQL", drive({"index": index, "models": MODELS}, options))
        report_postgres(postgres, "PostgreSQL")
        postgres.query("TRUNCATE prompt_cache_entries")
        redis = Redis()
        try:
            before = memory_used(redis)
            index = {**index, "kind": "redis", "redis": {"urls": [redis.url]}}
            name = "Redis + PostgreSQL"
            report(name, drive({"index": index, "models": MODELS}, options))
            report_postgres(postgres, name)
            report_redis(redis, before, name)
        finally:
            redis.remove()
    finally:
        postgres.remove()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the load, briefly")
    parser.add_argument("--rate", type=float, default=2000, help="requests a second, in all")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    if options.quick:
        options.rate, options.seconds = 200, 3
    try:
        run(options)
    except StartError as error:
        print(f"bench_fleet: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
