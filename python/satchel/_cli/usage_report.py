"""`python -m satchel usage --report`: tokens by day, by model or by block."""

from __future__ import annotations

import argparse
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from .amounts import seconds
from .table import lines_of
from .usage_view import parsed_time

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUARTER = timedelta(minutes=15)
_KINDS = ("input", "output", "cache_creation", "cache_read", "messages")
_HEADER = ["input", "output", "cached", "cache read", "messages"]


def moment(text: str, *, end: bool = False) -> datetime:
    """Parses `2026-11-20`, `2026-11-20T14:30` (local time) and `12h`, `7d` (ago).

    A day without a time begins the range, and as its end belongs to it.
    """
    try:
        if re.fullmatch(r"\d+(\.\d+)?[smhdw]", text.lower()):
            return datetime.now().astimezone() - timedelta(seconds=seconds(text))
        time = datetime.fromisoformat(text)
        if end and re.fullmatch(r"\d{4}-?\d\d-?\d\d", text):
            time += timedelta(days=1)
        return time.astimezone()
    except (ValueError, OverflowError, OSError):
        message = f"{text!r} is no date; write 2026-11-20, 2026-11-20T14:30 or 7d"
        raise argparse.ArgumentTypeError(message) from None


def end_moment(text: str) -> datetime:
    """As `moment`, for the end of a range."""
    return moment(text, end=True)


def local_offset() -> timedelta:
    """Of the days: that of this machine, now."""
    offset = datetime.now().astimezone().utcoffset() or timedelta()
    return round(offset / _QUARTER) * _QUARTER


def report_lines(report: dict[str, Any], by: str) -> list[str]:
    """A table."""
    rows = {"day": _days, "model": _models, "block": _blocks}[by](report)
    table = [[*names, *_counts(sums)] for names, sums in rows]
    names = {"day": ["day"], "model": ["model"], "block": ["start", "end"]}[by]
    table.append(["all", *([""] * (len(names) - 1)), *_counts(report["total"])])
    return lines_of([*names, *_HEADER], table, right=_HEADER)


def _days(report: dict[str, Any]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    for day in report["days"]:
        yield [day["day"]], day


def _models(report: dict[str, Any]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    for model in report["models"]:
        name = model["model"]
        yield ["(none named)" if name is None else _plain(name)], model


def _blocks(report: dict[str, Any]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    for block in report["blocks"]:
        end = f"{_at(block['end'])}{' (active)' if block['active'] else ''}"
        yield [_at(block["start"]), end], block


def _at(text: str) -> str:
    time = parsed_time(text)
    return text if time is None else time.astimezone().strftime("%Y-%m-%d %H:%M")


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _counts(sums: dict[str, Any]) -> list[str]:
    return [f"{sums[kind]:,}" for kind in _KINDS]
