"""A usage, drawn for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from satchel._usage import UsageSource

from .usage_faults import explained
from .usage_line import short_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from satchel._usage import Tokens, Usage

    from .terminal import Terminal

_LABEL = 16
_WIDEST_BAR = 40
_NARROWEST_BAR = 8
_DAY = timedelta(days=1)


@dataclass
class _Row:
    label: str
    percent: float
    reset: str
    short_reset: str


def usage_lines(usage: Usage, terminal: Terminal, now: datetime | None = None) -> list[str]:
    """All that is known, in lines that fit the terminal."""
    now = now or datetime.now(timezone.utc)
    lines: list[str] = []
    if usage.source == UsageSource.JSONL:
        lines += _counted(usage, now)
    else:
        lines += _bars(usage, terminal, now)
        lines += _extra(usage.data)
        lines += _observed(usage.data, now)
    lines.append("")
    lines += _source(usage, terminal)
    return lines


def _field(label: str, text: str) -> str:
    return f"{label.ljust(_LABEL)}{text}"


# ------------------------------------------------------------------------------------- windows


def _bars(usage: Usage, terminal: Terminal, now: datetime) -> list[str]:
    rows = list(_rows(usage, now))
    lines = []
    taken = _LABEL + len("  100 %  ")
    resets = max((len(row.reset) for row in rows), default=0)
    short = taken + _NARROWEST_BAR + resets > terminal.width
    if short:
        resets = max((len(row.short_reset) for row in rows), default=0)
    bar = max(_NARROWEST_BAR, min(_WIDEST_BAR, terminal.width - taken - resets))
    for row in rows:
        full, empty = terminal.bar(row.percent, bar)
        colour = "red" if row.percent >= 90 else "yellow" if row.percent >= 70 else "green"
        drawn = terminal.painted(full, colour) + terminal.painted(empty, "dim")
        reset = row.short_reset if short else row.reset
        text = f"{drawn}  {round(row.percent):3d} %  {terminal.painted(reset, 'dim')}"
        lines.append(_field(_cut(row.label, _LABEL - 1), text).rstrip())
    for label, window in (("5-hour window", usage.five_hour), ("7-day window", usage.seven_day)):
        if window.utilization is None:
            lines.append(_field(label, "nothing is known of it"))
    return lines


def _rows(usage: Usage, now: datetime) -> Iterator[_Row]:
    for label, window in (("5-hour window", usage.five_hour), ("7-day window", usage.seven_day)):
        if window.utilization is not None:
            yield _row(label, window.utilization, window.resets_at, now)
    data = usage.data
    seen = set()
    for limit in data.get("limits") or []:
        if limit["kind"] != "weekly_scoped":
            continue
        model = (limit["scope"] or {}).get("model") or {}
        name = model.get("display_name") or model.get("id") or "a model"
        seen.add(name.lower())
        yield _row(f"  {_printable(name)}", limit["percent"], parsed_time(limit["resets_at"]), now)
    for member, name in (("seven_day_opus", "Opus"), ("seven_day_sonnet", "Sonnet")):
        bucket = data.get(member)
        if bucket is not None and not any(name.lower() in other for other in seen):
            resets_at = parsed_time(bucket["resets_at"])
            yield _row(f"  {name}", bucket["utilization"], resets_at, now)


def _row(label: str, percent: float, resets_at: datetime | None, now: datetime) -> _Row:
    if resets_at is None:
        return _Row(label, percent, "", "")
    at = local_time(resets_at, now)
    if resets_at <= now:
        return _Row(label, percent, f"reset {at}", at)
    return _Row(label, percent, f"resets {at}, in {span(resets_at - now)}", at)


def _counted(usage: Usage, now: datetime) -> Iterator[str]:
    yield "The utilisation is not known: these are tokens counted in the transcripts."
    yield ""
    if usage.five_hour_tokens is None or usage.block_end is None:
        yield _field("5-hour block", "none is active")
    else:
        yield _field("5-hour block", _kinds(usage.five_hour_tokens))
        at = local_time(usage.block_end, now)
        yield _field("", f"ends {at}, in {span(usage.block_end - now)}")
    if usage.seven_day_tokens is not None:
        yield _field("7 days", _kinds(usage.seven_day_tokens))


def _kinds(tokens: Tokens) -> str:
    return (
        f"{short_count(tokens.total)} tokens: {short_count(tokens.input)} in, "
        f"{short_count(tokens.output)} out, {short_count(tokens.cache_creation)} cached, "
        f"{short_count(tokens.cache_read)} read from cache"
    )


# ------------------------------------------------------------------------- what else is known


def _extra(data: dict[str, Any]) -> Iterator[str]:
    extra = data.get("extra_usage")
    if not extra or not extra["is_enabled"]:
        return
    used, limit = extra["used_credits"], extra["monthly_limit"]
    parts = []
    if used is not None:
        of = "" if limit is None else f" of {limit:g}"
        parts.append(f"{used:g}{of} {_printable(extra['currency'] or '')}".rstrip())
    elif limit is not None:
        parts.append(f"at most {limit:g} {_printable(extra['currency'] or '')}".rstrip())
    if extra["utilization"] is not None:
        parts.append(f"{round(extra['utilization'])} %")
    yield _field("extra usage", ", ".join(parts) or "enabled")


def _observed(data: dict[str, Any], now: datetime) -> Iterator[str]:
    observed = data.get("observed")
    if not observed:
        return
    if observed["status"]:
        claim = observed["representative_claim"]
        because = f", by {_printable(claim)}" if claim else ""
        yield _field("requests", f"{_printable(observed['status'])}{because}")
    overage = observed["overage"]
    if overage["status"]:
        parts = [_printable(overage["status"])]
        if overage["utilization"] is not None:
            parts.append(f"{round(overage['utilization'])} %")
        if overage.get("disabled_reason"):
            parts.append(_printable(overage["disabled_reason"]))
        resets_at = parsed_time(overage["resets_at"])
        if resets_at is not None:
            parts.append(f"resets {local_time(resets_at, now)}")
        yield _field("overage", ", ".join(parts))


_SOURCES = {
    UsageSource.ENDPOINT: "the endpoint, asked just now",
    UsageSource.CACHE: "usage.json",
    UsageSource.STALE: "what was known last",
    UsageSource.HEADERS: "headers of the account's own answers",
    UsageSource.JSONL: "transcripts, read just now",
}


def _source(usage: Usage, terminal: Terminal) -> Iterator[str]:
    told = _SOURCES[usage.source]
    if usage.source not in (UsageSource.ENDPOINT, UsageSource.JSONL):
        told = f"{told}, {span(usage.age)} old"
    colour = "yellow" if usage.source == UsageSource.STALE else "dim"
    yield terminal.painted(_field("source", told), colour)
    if usage.error is not None:
        yield terminal.painted(_field("not fresher", explained(usage.error)), "yellow")


# ---------------------------------------------------------------------------------- times, texts


def parsed_time(text: str | None) -> datetime | None:
    """A time as the library writes it: RFC 3339, UTC, up to nine digits of a second.

    None too for one that no local time can be made of: the library knows years that datetime does
    not, and some say "never" with its first or last one.
    """
    if text is None:
        return None
    whole, _, fraction = text.rstrip("Z").partition(".")
    try:
        time = datetime.fromisoformat(whole).replace(tzinfo=timezone.utc)
        time.astimezone()
    except (ValueError, OverflowError, OSError):
        return None
    return time.replace(microsecond=int(fraction[:6].ljust(6, "0"))) if fraction else time


def local_time(time: datetime, now: datetime) -> str:
    """`14:00`, from tomorrow's on `Tue 24 Nov 22:00`, in local time."""
    here = time.astimezone()
    if here.date() == now.astimezone().date():
        return here.strftime("%H:%M")
    return here.strftime("%a %d %b %H:%M")


def span(time: timedelta) -> str:
    """`2 h 13 min`: the two largest units."""
    seconds = max(0, int(time.total_seconds()))
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    if minutes:
        return f"{minutes} min {seconds % 60} s" if minutes < 5 else f"{minutes} min"
    return f"{seconds} s"


def _printable(text: str) -> str:
    # What came over the network may not steer a terminal.
    return "".join(char if char.isprintable() else "?" for char in text)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "~"
