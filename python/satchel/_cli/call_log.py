"""The statistics of calls: a file of JSON lines that caches with `stats_path` append to."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def _summary(outcomes: Counter[str]) -> dict[str, Any]:
    asked = outcomes["hit"] + outcomes["miss"]
    return {
        "outcomes": dict(sorted(outcomes.items())),
        "hit_rate": outcomes["hit"] / asked if asked else None,
    }


def summary_of(path: Path) -> dict[str, Any]:
    """Counts the lines by outcome, and by tool; lines that are none of ours are counted as that."""
    all_tools: Counter[str] = Counter()
    tools: dict[str, Counter[str]] = {}
    unreadable = 0
    first: int | None = None
    last: int | None = None
    with path.open("rb") as lines:
        for line in lines:
            try:
                call = json.loads(line)
                tool, outcome, at = str(call["tool"]), str(call["outcome"]), int(call["ts_us"])
            except (ValueError, KeyError, TypeError):
                unreadable += 1
                continue
            all_tools[outcome] += 1
            tools.setdefault(tool, Counter())[outcome] += 1
            first = at if first is None else min(first, at)
            last = at if last is None else max(last, at)
    return {
        "path": str(path),
        **_summary(all_tools),
        "tools": {tool: _summary(outcomes) for tool, outcomes in sorted(tools.items())},
        "unreadable_lines": unreadable,
        "first_ts_us": first,
        "last_ts_us": last,
    }
