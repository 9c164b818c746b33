"""`python -m satchel tools`: what a tool cache's store holds, and its upkeep."""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import satchel

from .amounts import byte_count, positive, seconds, shown_age, shown_bytes, shown_rate
from .call_log import summary_of
from .progress import Progress
from .table import lines_of
from .tool_store import VARIABLE, bounds_of, config_of, open_store, whole_key
from .trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable

    Groups = argparse._SubParsersAction[argparse.ArgumentParser]

_SHORT = 16  # digits of a key in a table: enough for `why`


def _answer(arguments: argparse.Namespace, members: object, lines: Iterable[str]) -> None:
    """Prints one or the other."""
    if getattr(arguments, "json", False):
        print(json.dumps(members))
    else:
        for line in lines:
            print(line)


def _stats(arguments: argparse.Namespace) -> int:
    calls = None
    log = arguments.stats_file or config_of(arguments).get("stats_path")
    if log:
        try:
            calls = summary_of(Path(log))
        except FileNotFoundError:
            raise Trouble(f"there is no statistics file {log}") from None
    with open_store(arguments) as cache:
        counted = cache.stats()
    del counted["process"]  # this one has done nothing
    counted["calls"] = calls
    _answer(arguments, counted, _stats_lines(counted))
    return 0


def _stats_lines(counted: dict[str, Any]) -> list[str]:
    calls = counted["calls"]
    by_tool = calls["tools"] if calls else {}
    kinds = counted["kinds"]
    rows = []
    for kind in sorted({*kinds, *by_tool}):
        here = kinds.get(kind, {"entries": 0, "bytes": 0, "disk_bytes": 0})
        rate = by_tool.get(kind, {}).get("hit_rate")
        rows.append(_stats_row(kind, here, rate))
    rows.append(_stats_row("all", counted, calls["hit_rate"] if calls else None))
    header = ["kind", "entries", "bytes", "on disk", "hit rate"]
    columns = slice(0, 5 if calls else 4)
    oldest = counted["oldest_written_ns"]
    return [
        f"store   {counted['store']}",
        f"index   {counted['index']}",
        f"oldest  {'-' if oldest is None else shown_age(oldest)}",
        "",
        *_aligned(header[columns], [row[columns] for row in rows]),
    ]


def _stats_row(name: str, totals: dict[str, Any], rate: float | None) -> list[str]:
    return [
        name,
        str(totals["entries"]),
        shown_bytes(totals["bytes"]),
        shown_bytes(totals["disk_bytes"]),
        shown_rate(rate),
    ]


def _aligned(header: list[str], rows: list[list[str]]) -> list[str]:
    return lines_of(header, rows, right=set(header) - {"key", "kind"})


def _ls(arguments: argparse.Namespace) -> int:
    with open_store(arguments) as cache:
        entries: Iterable[dict[str, Any]] = cache.entries(arguments.kind)
        member = {"use": "used_ns", "size": "disk_bytes"}.get(arguments.by)
        if member is None:
            listed = list(itertools.islice(entries, arguments.limit))
        elif arguments.limit is None:
            listed = sorted(entries, key=lambda entry: entry[member], reverse=True)
        else:
            listed = heapq.nlargest(arguments.limit, entries, key=lambda entry: entry[member])
    rows = [
        [
            entry["key"][:_SHORT],
            entry["kind"],
            shown_bytes(entry["bytes"]),
            shown_bytes(entry["disk_bytes"]),
            shown_age(entry["written_ns"]),
            shown_age(entry["used_ns"]),
        ]
        for entry in listed
    ]
    header = ["key", "kind", "bytes", "on disk", "written", "used"]
    _answer(arguments, listed, _aligned(header, rows))
    return 0


def _why(arguments: argparse.Namespace) -> int:
    with open_store(arguments) as cache:
        reasons = cache.why(whole_key(cache, arguments.key))
    _answer(arguments, reasons, _why_lines(reasons))
    return 1 if reasons["state"] == "missing" else 0


_STATES = {
    "fresh": "fresh: it would be served",
    "stale": "stale: it would not be served",
    "missing": "missing: there is no such entry",
    "half": "half: one of its two files is missing",
    "integrity_error": "damaged: the payload is not what was stored",
    "meta_error": "damaged: the meta file cannot be read",
}


def _why_lines(reasons: dict[str, Any]) -> list[str]:
    lines = [f"key       {reasons['key']}"]
    if "kind" in reasons:
        lines.append(f"kind      {reasons['kind']}, {shown_bytes(reasons['bytes'])}")
    lines.append(f"state     {_STATES.get(reasons['state'], reasons['state'])}")
    for root in reasons["roots"]:
        if root["fresh"]:
            said = "unchanged"
        elif root["current"] is None:
            said = root.get("error", "cannot be read")
        else:
            said = f"changed: it was {root['expected']}, it is {root['current']}"
        lines.append(f"root      {root['path']}: {said}")
    lines.extend(
        f"upstream  {upstream['key']}: {'there' if upstream['present'] else 'gone'}"
        for upstream in reasons["upstreams"]
    )
    return lines


def _invalidate(arguments: argparse.Namespace) -> int:
    with open_store(arguments) as cache:
        matches = cache.invalidate_path(arguments.path)
        dropped = cache.stats()["process"]["dropped"]
    members = {"path": arguments.path, "matches": matches, "dropped": dropped}
    line = f"{_entries(dropped)} dropped, {matches} of them with {arguments.path} among their roots"
    _answer(arguments, members, [line])
    return 0


def _evict(arguments: argparse.Namespace) -> int:
    with open_store(arguments, **bounds_of(arguments)) as cache:
        # The bounds hold in the background too: let that be done, so that nothing counts twice.
        cache.flush(timeout=math.inf)
        cache.evict()
        counted = cache.stats()
    members = {
        "evicted": counted["process"]["evicted"],
        "entries": counted["entries"],
        "disk_bytes": counted["disk_bytes"],
    }
    left = f"{members['entries']} left with {shown_bytes(members['disk_bytes'])}"
    _answer(arguments, members, [f"{_entries(members['evicted'])} removed, {left}"])
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    damaged: list[dict[str, str]] = []
    checked = gone = 0
    with open_store(arguments) as cache:
        progress = Progress("verifying", cache.stats()["entries"])
        for entry in cache.entries():
            try:
                gone += not cache.verify(entry["key"])
            except (satchel.IntegrityError, satchel.MetaError) as error:
                damaged.append({"key": entry["key"], "kind": entry["kind"], "error": error.message})
            checked += 1
            progress.at(checked)
        progress.end(checked)
    whole = checked - gone - len(damaged)
    members = {"checked": checked, "whole": whole, "incomplete": gone, "damaged": damaged}
    lines = [f"{broken['key']}  {broken['kind']}  {broken['error']}" for broken in damaged]
    lines.append(f"{checked} checked, {whole} whole, {gone} incomplete, {len(damaged)} damaged")
    _answer(arguments, members, lines)
    return 1 if damaged else 0


def _rebuild(arguments: argparse.Namespace) -> int:
    with open_store(arguments) as cache:
        cache.rebuild()
        counted = cache.stats()
    line = f"{_entries(counted['entries'])} in the index, {counted['index']}"
    _answer(arguments, {"entries": counted["entries"], "index": counted["index"]}, [line])
    return 0


def _sweep(arguments: argparse.Namespace) -> int:
    with open_store(arguments) as cache:
        removed = cache.sweep(min_age_s=arguments.min_age)
    _answer(arguments, {"removed": removed}, [f"{removed} file{_s(removed)} removed"])
    return 0


def _entries(count: int) -> str:
    return f"{count} entr{'y' if count == 1 else 'ies'}"


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _common() -> argparse.ArgumentParser:
    """Options that may stand before the command and behind it."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--store", metavar="DIR", help=f"the store; by default ${VARIABLE}")
    common.add_argument(
        "--workspace",
        metavar="DIR",
        help="what relative roots are relative to; by default the working directory",
    )
    common.add_argument("--config", metavar="FILE", help="the cache's configuration, JSON")
    common.add_argument("--json", action="store_true", help="print JSON")
    return common


def add_parser(groups: Groups) -> None:
    """Adds the group to the command line."""
    common = _common()
    about = "what a tool cache's store holds, and its upkeep"
    group = groups.add_parser("tools", help=about, description=about, parents=[common])
    commands = group.add_subparsers(metavar="COMMAND", required=True)

    def command(
        name: str, run: Callable[[argparse.Namespace], int], about: str
    ) -> argparse.ArgumentParser:
        parser = commands.add_parser(name, help=about, description=about, parents=[common])
        parser.set_defaults(run=run)
        return parser

    stats = command("stats", _stats, "entries and bytes by kind, the oldest, the hit rate")
    stats.add_argument(
        "--stats-file",
        metavar="FILE",
        help='statistics of calls, for the hit rate; by default "stats_path" of --config',
    )
    ls = command("ls", _ls, "the entries, in the order of their keys")
    ls.add_argument("--kind", help="only of this kind")
    ls.add_argument("--limit", metavar="N", type=positive, help="at most so many")
    order = ls.add_mutually_exclusive_group()
    order.add_argument(
        "--by-use", dest="by", action="store_const", const="use", help="used last first"
    )
    order.add_argument(
        "--by-size", dest="by", action="store_const", const="size", help="largest first"
    )
    why = command("why", _why, "why an entry is served or not")
    why.add_argument("key", metavar="KEY", help="the key, or enough of its beginning")
    invalidate = command("invalidate", _invalidate, "drop what depends on a file or directory")
    invalidate.add_argument("path", metavar="PATH")
    evict = command("evict", _evict, "remove entries until bounds hold, least recently used first")
    evict.add_argument("--max-bytes", metavar="SIZE", type=byte_count, help="4096, 64M, 2G")
    evict.add_argument("--max-entries", metavar="N", type=positive)
    evict.add_argument("--max-age", metavar="TIME", type=seconds, help="since last used: 12h, 7d")
    command("verify", _verify, "read every payload and compare it with its hash")
    command("rebuild", _rebuild, "make the index anew from the store")
    sweep = command("sweep", _sweep, "remove what crashed processes left")
    sweep.add_argument(
        "--min-age",
        metavar="TIME",
        type=seconds,
        default=3600.0,
        help="nothing younger than this; by default 1h",
    )
