"""Bytes and times, as people write and read them."""

from __future__ import annotations

import argparse
import re
import time

_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def byte_count(text: str) -> int:
    """Parses `4096`, `64K`, `1.5G`; the units are powers of 1024."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kmgt]?)(?:i?b)?", text.strip().lower())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write 4096, 64K, 1.5G")
    return int(float(match[1]) * _BYTES[match[2]])


def seconds(text: str) -> float:
    """Parses `90`, `15m`, `12h`, `7d`, `2w`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw]?)", text.strip().lower())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 90, 15m, 12h, 7d")
    return float(match[1]) * _SECONDS[match[2]]


def positive(text: str) -> int:
    """Parses a whole number from 1 on."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def shown_bytes(count: int) -> str:
    """`1.5 MiB`."""
    if count < 1024:
        return f"{count} B"
    amount, unit = count / 1024, "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.1f} {unit}"


def shown_age(unix_ns: int) -> str:
    """`3h ago`."""
    passed = max(0, time.time_ns() - unix_ns) // 1_000_000_000
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if passed >= length:
            return f"{passed // length}{unit} ago"
    return f"{passed}s ago"


def shown_rate(rate: float | None) -> str:
    """`97.3 %`."""
    return "-" if rate is None else f"{rate * 100:.1f} %"
