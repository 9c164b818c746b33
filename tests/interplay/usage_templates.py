"""What the two read, whole and right: to be written, read and mutated."""

from __future__ import annotations

import json
from typing import Any

Json = Any

BUCKET = {"utilization": 61.7, "resets_at": "2026-11-20T14:00:00.25+02:00"}
LIMITS = [
    {"kind": "session", "percent": 5},
    {"kind": "weekly_all", "percent": 33.3, "severity": "normal", "resets_at": None},
    {
        "kind": "weekly_scoped",
        "percent": 120,
        "severity": "warning",
        "resets_at": "2026-11-22T00:00:00Z",
        "scope": {"model": {"display_name": "Fable", "id": "f"}, "surface": None},
        "group": "g",
        "is_active": True,
    },
]
EXTRA = {
    "is_enabled": True,
    "utilization": 12.1,
    "monthly_limit": 5000.1,
    "used_credits": 612,
    "currency": "EUR",
}
WHOLE = {
    "five_hour": BUCKET,
    "seven_day": {"utilization": 9, "resets_at": "2026-11-24T22:00:00Z"},
    "seven_day_opus": None,
    "seven_day_sonnet": {"utilization": -3, "resets_at": None},
    "extra_usage": EXTRA,
    "limits": LIMITS,
    "iguana_necktie": {"utilization": 1.5, "resets_at": None},
}
# Each a body of the endpoint; at most one bucket that is not known, since the reference keeps those
# in no order.
BODIES: list[Json] = [
    WHOLE,
    {},
    {"five_hour": BUCKET},
    {"seven_day_oauth_apps": {"utilization": 0}, "seven_day_opus": {"utilization": 100.0}},
    {"five_hour": {"utilization": 0.1, "resets_at": "1969-12-31T23:59:59.5Z"}},
    {"five_hour": {"utilization": 33.333333333, "resets_at": "9999-12-30T21:59:59.999999999Z"}},
    {"five_hour": {"utilization": 1e-7, "resets_at": "-009999-01-02T02:00:00Z"}},
    {"limits": []},
    {"limits": LIMITS, "extra_usage": {}},
    {"limits": [{"kind": "brand_new", "percent": 7.7, "severity": "odd", "scope": {}}]},
    {"limits": [{"kind": "weekly_scoped", "percent": 1, "scope": {"model": {"id": None}}}]},
    {"extra_usage": {"monthly_limit": 1e300, "used_credits": -0.5, "currency": ""}},
    {"nested": {"a": {"b": [[], {}, [{"c": [1, 2, {"d": None}]}]]}, "e": ""}},
    {"numbers": [0, -1, 2**63, 2**64 - 1, -(2**63), 0.1, 1e300, -2.5e-10, 1.0]},
    {"unicode ☂ \U0001f600": 'Ünï cödé \u2028 \u0000 \u007f \\ " / \t'},
    {"": ""},
    {"empty": {}},
    {"none": None, "five_hour": None},
    {"text": "x" * 5000},
]
# More than one: the same as JSON, in an order of the reference's choice.
MANY: Json = {
    **WHOLE,
    "big": 2**80,
    "tiny": 1e-300,
    "nested": {"five_hour": {"utilization": "not read"}},
    "äöü": [True, False, None],
    "unknown_buckets": {"utilization": 3},
    "": {},
}
CODES = (
    *("NoCredentials", "SubprocessFailed", "IoError", "ParseError", "MissingField", "EmptyToken"),
    *("Timeout", "RateLimited", "NetworkError", "Unauthorized", "Forbidden", "NoEntries"),
    *("DirectoryMissing", "SomethingNew", "", "timeout", "Ünï \U0001f600", 'a"b\\c\n'),
)
CREDENTIALS: list[Json] = [
    {"claudeAiOauth": {"accessToken": "test-token", "scopes": ["user:inference"]}},
    {"claudeAiOauth": {"accessToken": "test-token"}},
    {
        "claudeAiOauth": {
            "accessToken": "sk-ant-oat01-abc_DEF",
            "refreshToken": "sk-ant-ort01-abc",
            "expiresAt": 1795170600000,
            "scopes": [],
            "subscriptionType": None,
        },
        "mcpOAuth": {"x|y": {"accessToken": ""}},
    },
]


def text(body: Json) -> bytes:
    return json.dumps(body).encode()


def cache_file(cached_at: str, data: Json = None, error: Json = None) -> Json:
    return {"schema_version": 1, "cached_at": cached_at, "data": data, "error": error}


def cached(body: Json) -> Json:
    """The `data` of a cache file for that body, which need not be what the two would write."""
    known = [
        *("five_hour", "seven_day", "seven_day_opus", "seven_day_sonnet", "seven_day_oauth_apps"),
        *("extra_usage", "limits"),
    ]
    data = {name: body.get(name) for name in known}
    data["unknown_buckets"] = {name: body[name] for name in body if name not in known}
    return data
