"""What one writes the other reads, and writes just so."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from usage_directory import (
    assert_same,
    assert_same_answer,
    assert_same_contents,
    contents,
    copy,
    rfc3339,
)
from usage_peer import UsagePeer
from usage_templates import BODIES, CODES, MANY, text

Json = Any
TOKEN = {"token": "a-token"}
ANYBODY: Json = [*BODIES, MANY]
NOBODY = {"error": "network"}
# With a failure of the endpoint come an error and the time for which nobody asks.
FAILURES: list[Json] = [
    {"status": 401, "body": "{}"},
    {"status": 403, "body": ""},
    {"status": 404, "body": "{}"},
    {"status": 500, "body": "{}"},
    {"status": 302, "body": ""},
    {"status": 200, "body": "<html>"},
    {"status": 204, "body": ""},
    {"error": "timeout"},
    {"error": "network"},
    *[
        {"status": 429, "body": "{}", "retry_after": retry_after}
        for retry_after in (None, "120", "+5", "0", "-5", "1.5", "86401", " 77 ", "soon", "")
    ],
]


def bytes_but_for_times(path: Path, member: str) -> bytes:
    data = path.read_bytes()
    return data.replace(json.dumps(json.loads(data)[member]).encode(), b"TIME", 1)


@pytest.fixture(params=["reference", "library"])
def writer(
    request: pytest.FixtureRequest, usage_reference: UsagePeer, usage_library: UsagePeer
) -> UsagePeer:
    return usage_reference if request.param == "reference" else usage_library


@pytest.fixture
def readers(usage_reference: UsagePeer, usage_library: UsagePeer) -> tuple[UsagePeer, UsagePeer]:
    return usage_reference, usage_library


def assert_both_read(directory: Path, readers: tuple[UsagePeer, UsagePeer]) -> Json:
    """The same, without asking anybody; what it is."""
    before = contents(directory)
    reference, library = (
        peer.resolve(directory, credentials=TOKEN, transport=NOBODY) for peer in readers
    )
    assert_same_answer(reference, library)
    assert reference["calls"]["transport"] == 0
    assert contents(directory) == before
    return reference["result"]


def test_what_either_fetched_both_read(
    writer: UsagePeer, readers: tuple[UsagePeer, UsagePeer], tmp_path: Path
) -> None:
    for number, body in enumerate(ANYBODY):
        directory = tmp_path / f"{number}"
        transport = {"status": 200, "body": json.dumps(body)}
        fetched = writer.resolve(directory, credentials=TOKEN, transport=transport)
        assert fetched["result"]["source"] == "endpoint"
        found = assert_both_read(directory, readers)
        fetched["result"].pop("from", None)
        assert_same(found, fetched["result"])
        as_parsed = readers[0].parse_usage(text(body))
        unknown = found.pop("unknown_buckets")
        found.pop("source")
        assert_same({**unknown, **found}, as_parsed)
        # Stale, behind a lock that is no refusal, and behind one that is.
        lock = {"blocked_until": int(time.time()) + 3000}
        assert contents(directory)["usage.lock"]["blocked_until"] > time.time() + 170
        file = contents(directory)["usage.json"]
        file["cached_at"] = rfc3339(time.time() - 4000)
        (directory / "usage.json").write_text(json.dumps(file))
        for code in (None, "Timeout", "Unauthorized", "Forbidden", "SomethingNew"):
            error = {} if code is None else {"error": code}
            (directory / "usage.lock").write_text(json.dumps({**lock, **error}))
            again = assert_both_read(directory, readers)
            refused = code in ("Unauthorized", "Forbidden")
            assert again.get("error") == (code if refused else None)


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_files_of_both_are_the_same_bytes(
    readers: tuple[UsagePeer, UsagePeer], tmp_path: Path, body: Json
) -> None:
    """With one unknown bucket at most, which came as the reference would write it: it keeps several
    in no order, and the members of one sorted. The library keeps them as they came.
    """
    for name, peer in zip(("reference", "library"), readers):
        canonical = json.dumps(body, ensure_ascii=False, sort_keys=True)
        transport = {"status": 200, "body": canonical}
        peer.resolve(tmp_path / name, credentials=TOKEN, transport=transport)
    for name, member in (("usage.json", "cached_at"), ("usage.lock", "blocked_until")):
        theirs, ours = (tmp_path / side / name for side in ("reference", "library"))
        assert bytes_but_for_times(ours, member) == bytes_but_for_times(theirs, member)
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (theirs, ours)]
        assert modes == [0o600, 0o600]
    assert_same_contents(tmp_path / "reference", tmp_path / "library")


@pytest.mark.parametrize("failure", FAILURES, ids=range(len(FAILURES)))
@pytest.mark.parametrize("before", ["nothing", "stale"])
def test_locks_of_both_are_the_same_bytes(
    readers: tuple[UsagePeer, UsagePeer], tmp_path: Path, failure: Json, before: str
) -> None:
    answers = []
    for name, peer in zip(("reference", "library"), readers):
        if before == "stale":
            directory = tmp_path / name
            readers[0].write_cache(directory, text(MANY), rfc3339(time.time() - 4000))
        answers.append(peer.resolve(tmp_path / name, credentials=TOKEN, transport=failure))
    assert_same_answer(*answers)
    theirs, ours = (tmp_path / side / "usage.lock" for side in ("reference", "library"))
    assert bytes_but_for_times(ours, "blocked_until") == bytes_but_for_times(
        theirs, "blocked_until"
    )
    assert_same_contents(tmp_path / "reference", tmp_path / "library")
    if failure.get("retry_after") != "0":  # which locks nobody out
        for name in ("reference", "library"):
            assert_both_read(tmp_path / name, readers)


def test_every_error_of_a_cache(
    readers: tuple[UsagePeer, UsagePeer], usage_reference: UsagePeer, tmp_path: Path
) -> None:
    for code in CODES:
        for blocked in (None, "Timeout", "Forbidden", code):
            directory = tmp_path / "shared"
            usage_reference.write_cached_error(directory, code)
            usage_reference.write_lock(directory, int(time.time()) + 1000, blocked)
            assert_both_read(directory, readers)


def test_every_error_of_a_lock(
    readers: tuple[UsagePeer, UsagePeer], usage_reference: UsagePeer, tmp_path: Path
) -> None:
    for code in CODES:
        usage_reference.write_lock(tmp_path / "shared", int(time.time()) + 1000, code)
        assert_both_read(tmp_path / "shared", readers)


@pytest.mark.parametrize("blocked_until", [0, -1, -(2**63), 2**63 - 1, 2**31, 2**40])
def test_extreme_locks(
    readers: tuple[UsagePeer, UsagePeer],
    usage_reference: UsagePeer,
    tmp_path: Path,
    blocked_until: int,
) -> None:
    usage_reference.write_lock(tmp_path / "shared", blocked_until, "Timeout")
    other = copy(tmp_path / "shared", tmp_path / "other")
    answers = [
        peer.resolve(directory, credentials=TOKEN, transport={"status": 200, "body": "{}"})
        for peer, directory in zip(readers, (tmp_path / "shared", other))
    ]
    assert_same_answer(*answers)
    assert_same_contents(tmp_path / "shared", other)


@pytest.mark.parametrize(
    "cached_at",
    [
        *("1970-01-01T00:00:00Z", "-009999-01-02T02:00:00Z", "9999-12-30T21:59:59.999999999Z"),
        *("2026-11-20T14:00:00.123456789+05:30", "2026-11-20T14:00:00.1-00:00"),
        *("2000-02-29T23:59:59.999-12:00", "1969-12-31T23:59:59.000000001Z"),
    ],
)
def test_extreme_times_of_caches(
    readers: tuple[UsagePeer, UsagePeer],
    usage_reference: UsagePeer,
    tmp_path: Path,
    cached_at: str,
) -> None:
    usage_reference.write_cache(tmp_path / "shared", text(MANY), cached_at)
    usage_reference.write_lock(tmp_path / "shared", int(time.time()) + 1000, "Timeout")
    assert_both_read(tmp_path / "shared", readers)


def test_without_a_directory(readers: tuple[UsagePeer, UsagePeer], tmp_path: Path) -> None:
    for transport in ({"status": 200, "body": json.dumps(MANY)}, *FAILURES):
        answers = [peer.resolve(None, credentials=TOKEN, transport=transport) for peer in readers]
        assert_same_answer(*answers)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "code",
    ["NoCredentials", "SubprocessFailed", "IoError", "ParseError", "MissingField", "EmptyToken"],
)
@pytest.mark.parametrize("before", ["nothing", "stale", "error"])
def test_without_credentials(
    readers: tuple[UsagePeer, UsagePeer],
    usage_reference: UsagePeer,
    tmp_path: Path,
    code: str,
    before: str,
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    if before == "stale":
        usage_reference.write_cache(shared, text(MANY), rfc3339(time.time() - 4000))
    elif before == "error":
        usage_reference.write_cached_error(shared, "RateLimited")
    files = contents(shared)
    answers = [
        peer.resolve(shared, credentials={"error": code}, transport=NOBODY) for peer in readers
    ]
    assert_same_answer(*answers)
    assert contents(shared) == files


@pytest.mark.parametrize("base", ["https://a.example", "https://a.example/", "https://a.example//"])
def test_what_is_asked(readers: tuple[UsagePeer, UsagePeer], base: str) -> None:
    transport = {"status": 200, "body": "{}"}
    answers = [
        peer.resolve(None, credentials=TOKEN, transport=transport, base_url=base)
        for peer in readers
    ]
    assert_same_answer(*answers)
    assert answers[0]["asked"]["url"] == "https://a.example/api/oauth/usage"
