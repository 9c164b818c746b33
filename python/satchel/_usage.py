"""What a cascade found out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ._errors import UsageFault

if TYPE_CHECKING:
    from ._core import UsageTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_BLOCK = timedelta(hours=5)


class UsageSource(IntEnum):
    """Where a usage comes from."""

    ENDPOINT = 1  # asked just now
    CACHE = 2  # usage.json, fresh
    STALE = 3  # what was known last; the usage's error says why it is not fresher
    HEADERS = 4  # observed in an answer's headers, as good as fresh
    JSONL = 5  # tokens counted in the transcripts: no utilisation is known


@dataclass(frozen=True)
class Window:
    """How much of a window is used.

    Attributes:
        utilization: Percent, 0 to 100; None where it is not known.
        resets_at: When it begins anew, UTC; None where it is not known.
    """

    utilization: float | None
    resets_at: datetime | None


@dataclass(frozen=True)
class Tokens:
    """Tokens by kind.

    Attributes:
        input: Read by the model, neither from a cache nor into one.
        output: Written by the model.
        cache_creation: Read, and put into a cache.
        cache_read: Read from a cache.
    """

    input: int = 0
    output: int = 0
    cache_creation: int = 0
    cache_read: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.input + self.output + self.cache_creation + self.cache_read


@dataclass(frozen=True)
class Usage:
    """How much of an account's quota is used, and how that is known.

    Attributes:
        source: Where it comes from.
        error: Why it is not fresher, None if nothing is wrong.
        age: Time since the numbers were true.
        five_hour: The five-hour window. Nothing of it is known where `source` is JSONL.
        seven_day: The seven-day window, likewise.
        five_hour_tokens: Tokens of the block that is active, where `source` is JSONL and one is.
        seven_day_tokens: Tokens of the last seven days, where `source` is JSONL.
        block_start: When that block began, UTC.
    """

    source: UsageSource
    error: UsageFault | None
    age: timedelta
    five_hour: Window
    seven_day: Window
    five_hour_tokens: Tokens | None
    seven_day_tokens: Tokens | None
    block_start: datetime | None
    _json: str = field(repr=False)

    @property
    def block_end(self) -> datetime | None:
        """When the active block ends, UTC; None where none is known."""
        return None if self.block_start is None else self.block_start + _BLOCK

    @cached_property
    def data(self) -> dict[str, Any]:
        """All of it: limits by model, extra usage, what headers said; `docs/cascade.md` has it."""
        members: dict[str, Any] = json.loads(self._json)
        return members

    def to_json(self) -> str:
        """The same as the library wrote it."""
        return self._json


def usage_of(found: UsageTuple) -> Usage:
    """Gives what `_core` returns its shape."""
    (
        source,
        error,
        age_ns,
        five_hour,
        five_hour_resets_at,
        seven_day,
        seven_day_resets_at,
        five_hour_tokens,
        seven_day_tokens,
        block_start,
        members,
    ) = found
    counted = source == UsageSource.JSONL
    return Usage(
        source=UsageSource(source),
        error=UsageFault(error) if error else None,
        age=timedelta(microseconds=age_ns // 1000),
        five_hour=_window(five_hour, five_hour_resets_at),
        seven_day=_window(seven_day, seven_day_resets_at),
        five_hour_tokens=Tokens(*five_hour_tokens) if counted and block_start else None,
        seven_day_tokens=Tokens(*seven_day_tokens) if counted else None,
        block_start=time_of(block_start),
        _json=members.decode(),
    )


def _window(utilization: float, resets_at: int) -> Window:
    return Window(None if utilization < 0 else utilization, time_of(resets_at))


def time_of(unix_ns: int) -> datetime | None:
    """The time that Unix nanoseconds stand for, None for 0."""
    return _EPOCH + timedelta(microseconds=unix_ns // 1000) if unix_ns else None


def unix_ns_of(time: datetime, name: str) -> int:
    """Unix nanoseconds of a time, which must know its zone."""
    if time.tzinfo is None or time.utcoffset() is None:
        raise ValueError(
            f"{name} must know its time zone; datetime.astimezone() gives it the local one"
        )
    return (time - _EPOCH) // timedelta(microseconds=1) * 1000
