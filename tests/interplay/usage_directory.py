"""What is in a directory that the two share, and when two such directories, or two answers, say
the same.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

Json = Any
KNOWN = {
    *("five_hour", "seven_day", "seven_day_opus", "seven_day_sonnet", "seven_day_oauth_apps"),
    *("extra_usage", "limits", "usage.json", "usage.lock"),
}
# Either reads the clock for itself when it writes.
SLACK_S = 2.0


def rfc3339(unix_s: float, *, fraction: str = "") -> str:
    whole = datetime.fromtimestamp(int(unix_s), timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}{fraction}Z"


def now_text() -> str:
    """To give both sides the same time."""
    seconds, nanos = divmod(time.time_ns(), 1_000_000_000)
    return rfc3339(seconds, fraction=f".{nanos:09d}")


def unix_s(text: str) -> float:
    """Of a time as both write it."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    time_of_day = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    return time_of_day.timestamp() + float(f"0.{fraction or 0}")


def assert_same(library: Json, reference: Json, where: str = "", *, known: bool = True) -> None:
    """The same JSON, but for numbers in members that neither knows: the reference keeps those as
    serde_json's Value, where whole numbers beyond 64 bits become floats and the last digit of a
    float may be off. The library keeps the digits.
    """
    if isinstance(reference, dict) and isinstance(library, dict):
        assert library.keys() == reference.keys(), f"members of {where or 'all'}"
        for name in reference:
            is_known = known and (where != "" or name in KNOWN)
            assert_same(library[name], reference[name], f"{where}/{name}", known=is_known)
    elif isinstance(reference, list) and isinstance(library, list):
        assert len(library) == len(reference), f"length of {where}"
        for number, (ours, theirs) in enumerate(zip(library, reference)):
            assert_same(ours, theirs, f"{where}/{number}", known=known)
    elif known or not _are_numbers(library, reference):
        # As Python has it, True is 1.
        assert (type(library) is bool) == (type(reference) is bool), where
        assert library == reference, where
    else:
        assert math.isclose(library, reference, rel_tol=1e-15), where


def _are_numbers(*values: Json) -> bool:
    return all(type(value) in (int, float) for value in values)


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is no JSON")


def contents(directory: Path) -> dict[str, Json]:
    """The shared files: JSON where they hold any, bytes where not. The library's own are not meant
    for others."""
    found: dict[str, Json] = {}
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        if path.name.startswith("satchel-"):
            continue
        if path.is_dir():
            found[path.name] = "a directory"
            continue
        data = path.read_bytes()
        try:
            found[path.name] = json.loads(data, parse_constant=_no_constant)
        except ValueError:
            found[path.name] = data
    return found


def _timeless(files: dict[str, Json]) -> tuple[Json, list[float]]:
    """The files without the times that their writer took from the clock, and those times."""
    times = []
    files = dict(files)
    for name, member in (("usage.json", "cached_at"), ("usage.lock", "blocked_until")):
        file = files.get(name)
        if not isinstance(file, dict) or member not in file:
            continue
        value = file[member]
        if name == "usage.lock" and type(value) is int:
            times.append(float(value))
        elif isinstance(value, str) and re.fullmatch(r"[-0-9]{10}T[:0-9]{8}(\.\d+)?Z", value):
            try:
                times.append(unix_s(value))
            except ValueError:  # nobody wrote it from the clock
                continue
        else:
            continue
        files[name] = {**file, member: "a time"}
    return files, times


def _apart(files: dict[str, Json]) -> dict[str, Json]:
    """With what neither knows in a place of its own."""
    apart: dict[str, Json] = {}
    for name, file in files.items():
        data = file.get("data") if isinstance(file, dict) else None
        if isinstance(data, dict) and "unknown_buckets" in data:
            unknown = {"unknown_buckets": data["unknown_buckets"]}
            rest = {key: value for key, value in data.items() if key not in unknown}
            apart[f"buckets of {name}"] = unknown
            file = {**file, "data": rest}
        apart[name] = file
    return apart


def assert_same_contents(one: Path, other: Path) -> None:
    one_files, one_times = _timeless(contents(one))
    other_files, other_times = _timeless(contents(other))
    assert_same(_apart(one_files), _apart(other_files))
    for one_time, other_time in zip(one_times, other_times):
        assert abs(one_time - other_time) <= SLACK_S, f"{one_times} and {other_times}"


def assert_same_answer(reference: Json, library: Json) -> None:
    """What the two answered to one command."""
    for name in ("result", "calls", "asked"):
        assert name in reference
    result = dict(reference["result"])
    result.pop("retry_after_s", None)  # the library says it in the lock alone
    ours = dict(library["result"])
    ours.pop("from", None)
    assert_same(ours, result)
    for source, count in library["calls"].items():
        if count is not None:
            assert count == reference["calls"][source], f"{source} asked {count} times"
    if library["calls"]["transport"] is not None:
        asked = reference["asked"] and {name: reference["asked"][name] for name in ("url", "token")}
        assert library["asked"] == asked


def copy(directory: Path, to: Path) -> Path:
    """With the times of the files: a lock that cannot be read counts from its own."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(directory, to)
    return to


def write_cached_at(directory: Path, age_s: float) -> bool:
    """Makes the cache that old; False if there is none."""
    path = directory / "usage.json"
    file = contents(directory).get("usage.json")
    if not isinstance(file, dict) or "cached_at" not in file:
        return False
    at = datetime.now(timezone.utc) - timedelta(seconds=age_s)
    file["cached_at"] = at.isoformat().replace("+00:00", "Z")
    path.write_text(json.dumps(file))
    return True
