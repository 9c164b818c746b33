"""JSON that is nearly right: texts of the kinds that both sides read, each a little off.

Objects are lists of pairs here, so that a name may stand twice.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable
from typing import Any


class Pairs(list[Any]):
    """An object."""


class Raw(str):
    """Stands in the text as it is."""


def tree(value: Any) -> Any:
    if isinstance(value, dict):
        return Pairs((name, tree(item)) for name, item in value.items())
    if isinstance(value, list):
        return [tree(item) for item in value]
    return value


TIMES = (
    "2026-11-20T14:00:00Z",
    "2026-11-20t14:00:00z",
    "2026-11-20 14:00:00+02",
    "2026-11-20T14:00:00+05:30",
    "2026-11-20T14:00:00-0730",
    "2026-11-20T14:00:00+25:59",
    "2026-11-20T14:00:00+26:00",
    "2026-11-20T14:00:00+02:00:30",
    "2026-11-20T14:00:00.1234567890Z",
    "2026-11-20T14:00:00.999999999Z",
    "2026-11-20T14:00:00,25Z",
    "2026-11-20T14:00:00.Z",
    "2026-11-20T24:00:00Z",
    "2026-11-20T23:59:60Z",
    "2026-11-20T14:00Z",
    "2026-11-20T14Z",
    "20261120T140000Z",
    "2026-11-20",
    "2026-11-20T14:00:00",
    "2026-11-20T14:00:00Z[UTC]",
    "2026-11-20T14:00:00+01:00[Europe/Berlin]",
    "2026-11-31T14:00:00Z",
    "2024-02-29T00:00:00Z",
    "2026-02-29T00:00:00Z",
    "1969-12-31T23:59:59.5Z",
    "0000-01-01T00:00:00Z",
    "-009999-01-02T01:59:59Z",
    "-010000-01-01T00:00:00Z",
    "+002026-11-20T14:00:00Z",
    "9999-12-30T22:00:00.999999999Z",
    "9999-12-31T23:59:59Z",
    " 2026-11-20T14:00:00Z",
    "2026-11-20T14:00:00Z ",
    "2026-W47-5T14:00:00Z",
    "tomorrow",
    "",
)
NUMBERS = (
    *("0", "-0", "0.0", "-0.0", "1", "-1", "7", "61.7", "99.99999", "100", "100.0000001", "101"),
    *("33.333333333333333", "0.1", "1e2", "1E-3", "1e+1", "12.50", "1e-400", "16777217", "1e38"),
    *("4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551615"),
    *("18446744073709551616", "-9223372036854775808", "-9223372036854775809", "1e308", "1e400"),
    *("123456789012345678901234567890", "0.30000000000000004", "5e-324", "1.7976931348623157e308"),
    *("01", "1.", ".5", "+1", "1e", "0x10", "NaN", "Infinity", "-", "--1", "1_000"),
)
TEXTS = (
    *("session", "weekly_all", "weekly_scoped", "unknown", "normal", "warning", "Session", ""),
    *("61", "null", "Ünï cödé \u2028 \U0001f600", 'a\\b"c\n\t\x00\x7f', "x" * 300),
    *("Timeout", "RateLimited", "Unauthorized", "Forbidden", "NetworkError", "NoCredentials"),
)
ODD_TEXTS = (
    *(r'"\ud800"', r'"\ud83d\ude00"', r'"\ude00\ud83d"', r'"\u00zz"', r'"\x41"', '"tab\there"'),
    *('"unended', "'single'", r'"\/\b\f"', r'"A\u0000"'),
)
NAMES = (
    *("five_hour", "seven_day", "seven_day_opus", "utilization", "resets_at", "extra_usage"),
    *("limits", "kind", "percent", "severity", "scope", "model", "display_name", "id", "currency"),
    *("is_enabled", "monthly_limit", "used_credits", "unknown_buckets", "schema_version"),
    *("cached_at", "data", "error", "code", "blocked_until", "claudeAiOauth", "accessToken"),
    *("scopes", "timestamp", "message", "usage", "input_tokens", "Five_Hour", "iguana", "", "ä"),
)


class Mutations:
    """One seed."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def of(self, templates: Iterable[Any]) -> bytes:
        """The text of one of the templates, off in a few places or, now and then, right."""
        value = tree(self._chance.choice(list(templates)))
        for _ in range(self._chance.choice((0, 1, 1, 1, 2, 3))):
            value = self._changed(value)
        text = self._written(value, self._chance.random() < 0.2).encode()
        return self._damaged(text) if self._chance.random() < 0.15 else text

    # --------------------------------------------------------------- the structure

    def _changed(self, value: Any) -> Any:
        """One change, somewhere in it."""
        if isinstance(value, list) and value and self._chance.random() < 0.8:
            at = self._chance.randrange(len(value))
            if isinstance(value, Pairs):
                if self._chance.random() < 0.3:
                    self._change_members(value, at)
                else:
                    value[at] = (value[at][0], self._changed(value[at][1]))
            elif self._chance.random() < 0.2:
                self._change_elements(value, at)
            else:
                value[at] = self._changed(value[at])
            return value
        return self._other(value)

    def _change_members(self, value: Pairs, at: int) -> None:
        name, item = value[at]
        way = self._chance.randrange(5)
        if way == 0:
            del value[at]
        elif way == 1:
            value.append((name, self._other(item)))
        elif way == 2:
            value[at] = (self._chance.choice(NAMES), item)
        elif way == 3:
            value.append((self._chance.choice(NAMES), self._any()))
        else:
            self._chance.shuffle(value)

    def _change_elements(self, value: list[Any], at: int) -> None:
        if self._chance.random() < 0.5:
            del value[at]
        else:
            value.insert(at, self._any())

    def _other(self, value: Any) -> Any:
        """Something else in its place."""
        way = self._chance.random()
        if isinstance(value, Pairs) and way < 0.3:
            return [item for _, item in value]  # structs may be written so
        if way < 0.1:
            return [value]
        if way < 0.2:
            return Pairs([(self._chance.choice(NAMES), value)])
        if isinstance(value, str) and way < 0.3:
            return Pairs([(value, self._chance.choice((None, None, self._any())))])
        if way < 0.22:
            return self._deep()
        return self._any()

    def _any(self) -> Any:
        way = self._chance.random()
        if way < 0.3:
            return Raw(self._chance.choice(NUMBERS))
        if way < 0.5:
            return self._chance.choice(TIMES)
        if way < 0.7:
            return self._chance.choice(TEXTS)
        if way < 0.75:
            return Raw(self._chance.choice(ODD_TEXTS))
        if way < 0.9:
            return self._chance.choice((None, None, None, True, False))
        if way < 0.95:
            return [self._any() for _ in range(self._chance.randrange(4))]
        return Pairs(
            (self._chance.choice(NAMES), self._any()) for _ in range(self._chance.randrange(4))
        )

    def _deep(self) -> Any:
        depth = self._chance.choice((20, 100, 120, 125, 126, 127, 128, 140))
        if self._chance.random() < 0.5:
            return Raw("[" * depth + "]" * depth)
        return Raw('{"a":' * depth + "1" + "}" * depth)

    # -------------------------------------------------------------------- the text

    def _written(self, value: Any, ragged: bool) -> str:
        gap = self._chance.choice(("", "", "", " ", "\n", "\t\r\n ", "\v")) if ragged else ""
        if isinstance(value, Raw):
            return str(value)
        if isinstance(value, Pairs):
            members = (
                f"{gap}{self._quoted(name, ragged)}{gap}:{gap}{self._written(item, ragged)}"
                for name, item in value
            )
            return "{" + ",".join(members) + gap + "}"
        if isinstance(value, list):
            return "[" + f"{gap},".join(self._written(item, ragged) for item in value) + gap + "]"
        if isinstance(value, str):
            return self._quoted(value, ragged)
        return json.dumps(value)

    def _quoted(self, text: str, ragged: bool) -> str:
        if ragged and text and self._chance.random() < 0.2:
            at = self._chance.randrange(len(text))
            if ord(text[at]) < 0x10000:
                before, after = json.dumps(text[:at])[:-1], json.dumps(text[at + 1 :])[1:]
                return f"{before}\\u{ord(text[at]):04x}{after}"
        return json.dumps(text, ensure_ascii=self._chance.random() < 0.5)

    def _damaged(self, text: bytes) -> bytes:
        at = self._chance.randrange(len(text) + 1)
        return self._chance.choice(
            (
                text[:at],
                text[:at] + text[at + 1 :],
                text[:at] + self._chance.randbytes(1) + text[at:],
                text[:at] + bytes([self._chance.choice(b'{}[]",:\\0 -e.')]) + text[at:],
                text[:at] + bytes([self._chance.choice(b'{}[]",:\\0 -e.')]) + text[at + 1 :],
                text + self._chance.choice((b" ", b"\n", b"x", b"{}", b"\0", b",")),
                b"\xef\xbb\xbf" + text,
                text.replace(b"a", b"\xff", 1),
                text + text,
            )
        )


def may_hold_what_nobody_reads(text: bytes) -> bool:
    """Whether a text holds what JSON may not hold, though the reference takes it where it skips a
    member unread: halves of surrogate pairs, numbers beyond any double, bytes that are no UTF-8,
    deep nesting. The library refuses such a text.
    """
    try:
        text.decode()
    except UnicodeDecodeError:
        return True
    if re.search(rb"\\u[dD][89a-fA-F]", text):
        return True
    depth = deepest = 0
    for byte in text:
        depth += (byte in b"{[") - (byte in b"}]")
        deepest = max(deepest, depth)
    numbers = re.findall(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?", text)
    return deepest > 120 or any(
        float(number) in (float("inf"), -float("inf")) for number in numbers
    )
