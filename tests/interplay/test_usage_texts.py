"""The two read the same out of every text: answers of the endpoint, credentials, both files.

Thousands of texts that are nearly right. SATCHEL_INTERPLAY_TEXTS, 1500 unless it is set, is the
number of each kind, SATCHEL_INTERPLAY_SEED another series of them.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any, Callable

import pytest
from json_mutations import ODD_TEXTS, TIMES, Mutations, may_hold_what_nobody_reads
from usage_directory import (
    assert_same,
    assert_same_answer,
    assert_same_contents,
    copy,
    now_text,
    rfc3339,
)
from usage_peer import UsagePeer
from usage_templates import BODIES, CODES, CREDENTIALS, MANY, WHOLE, cache_file, cached, text

Json = Any
COUNT = int(os.environ.get("SATCHEL_INTERPLAY_TEXTS", "1500"))
SEED = int(os.environ.get("SATCHEL_INTERPLAY_SEED", "1"))
TOKEN = {"token": "a-token"}
NOBODY = {"error": "network"}
DAY = 86_400


def mutations_of(what: str) -> Mutations:
    return Mutations(random.Random(f"{what} {SEED}"))


class Judge:
    """Compares, and counts what there was to compare."""

    def __init__(self) -> None:
        self.refused = 0
        self.read = 0
        self.only_reference = 0

    def compare(self, what: bytes, reference: Json, library: Json) -> None:
        """None is a text that is refused."""
        if library is None and reference is not None and may_hold_what_nobody_reads(what):
            self.only_reference += 1  # known, and harmless: the next answer is whole again
            return
        try:
            assert_same(library, reference)
        except AssertionError as wrong:
            raise AssertionError(f"{what!r}: {wrong}") from None
        if reference is None:
            self.refused += 1
        else:
            self.read += 1

    def was_worth_it(self, count: int) -> None:
        """The texts are neither all broken nor all right."""
        assert self.refused > count / 10
        assert self.read > count / 10
        assert self.only_reference < count / 20


def test_answers_of_the_endpoint(usage_reference: UsagePeer, usage_library: UsagePeer) -> None:
    mutations, judge = mutations_of("answers"), Judge()
    templates = [*BODIES, *[WHOLE] * 10, MANY]
    for _ in range(COUNT):
        body = mutations.of(templates)
        judge.compare(body, usage_reference.parse_usage(body), usage_library.parse_usage(body))
    judge.was_worth_it(COUNT)


@pytest.mark.parametrize("times", [TIMES], ids=["all"])
def test_times_in_answers(
    usage_reference: UsagePeer, usage_library: UsagePeer, times: tuple[str, ...]
) -> None:
    for time_text in times:
        body = text({"five_hour": {"utilization": 1, "resets_at": time_text}})
        ours = usage_library.parse_usage(body)
        theirs = usage_reference.parse_usage(body)
        assert ours == theirs, time_text
        printed = usage_reference.parse_timestamp(time_text)
        assert (None if ours is None else ours["five_hour"]["resets_at"]) == (
            None if printed is None else printed["printed"]
        )


@pytest.mark.parametrize("odd", ODD_TEXTS)
def test_odd_strings_where_they_are_kept(
    usage_reference: UsagePeer, usage_library: UsagePeer, odd: str
) -> None:
    for form in ('{"x":%s}', '{"x":{"y":[%s]}}', "{%s:1}", '{"extra_usage":{"currency":%s}}'):
        body = (form % odd).encode()
        assert usage_library.parse_usage(body) == usage_reference.parse_usage(body), body


def told(answer: Json) -> str:
    return str(answer["is"]["token"] if answer["is"] else answer["code"])


def test_credentials_that_are_an_empty_array(
    usage_reference: UsagePeer, usage_library: UsagePeer
) -> None:
    theirs = told(usage_reference.parse_credentials(b"[]"))
    assert told(usage_library.parse_credentials(b"[]")) == theirs == "ParseError"


def test_credentials(usage_reference: UsagePeer, usage_library: UsagePeer) -> None:
    mutations, judge = mutations_of("credentials"), Judge()

    for _ in range(COUNT):
        contents = mutations.of(CREDENTIALS)
        theirs = told(usage_reference.parse_credentials(contents))
        ours = told(usage_library.parse_credentials(contents))
        if ours == "ParseError" and theirs != ours and may_hold_what_nobody_reads(contents):
            judge.only_reference += 1
            continue
        assert ours == theirs, contents
        if theirs == "ParseError":
            judge.refused += 1
        else:
            judge.read += 1
    judge.was_worth_it(COUNT)


# ------------------------------------------------------------------------------------ the files


class Files:
    """A directory in which nobody may ask, so that a resolve says what was read."""

    def __init__(self, directory: Path, reference: UsagePeer, library: UsagePeer) -> None:
        self.directory = directory
        directory.mkdir()
        self._peers = (reference, library)

    def write(self, name: str, contents: bytes) -> None:
        (self.directory / name).write_bytes(contents)

    def ask(self, now: str | None = None) -> tuple[Json, Json]:
        now = now or now_text()
        reference, library = (
            peer.resolve(self.directory, credentials=TOKEN, transport=NOBODY, now=now)
            for peer in self._peers
        )
        return reference, library


def templates_of_cache_files() -> list[Json]:
    ages = (10, 100, 1000, 10**6, -60)
    times = [rfc3339(time.time() - age, fraction=".5") for age in ages]
    return [
        *[cache_file(at, cached(body)) for at in times[:3] for body in (WHOLE, MANY, *BODIES)],
        *[cache_file(times[1], cached(WHOLE))] * 40,
        *[cache_file(at, None, {"code": code}) for at in times for code in CODES],
        *[cache_file(at, cached(WHOLE), {"code": "Timeout"}) for at in times],
        *[cache_file(at) for at in times],
        *[{"schema_version": 1, "cached_at": at, "data": {}} for at in times],
    ]


def test_caches(usage_reference: UsagePeer, usage_library: UsagePeer, quick_dir: Path) -> None:
    files = Files(quick_dir / "shared", usage_reference, usage_library)
    lock = text({"blocked_until": int(time.time()) + 3600, "error": "Timeout"})
    files.write("usage.lock", lock)
    mutations, judge = mutations_of("caches"), Judge()
    templates = templates_of_cache_files()
    for _ in range(COUNT):
        contents = mutations.of(templates)
        files.write("usage.json", contents)
        reference, library = files.ask()
        reference["result"].pop("retry_after_s", None)
        missed = reference["result"] == {"error": "Timeout"}
        only_reference = library["result"] == {"error": "Timeout"} and not missed
        if only_reference and may_hold_what_nobody_reads(contents):
            judge.only_reference += 1
            continue
        try:
            assert_same_answer(reference, library)
        except AssertionError as wrong:
            raise AssertionError(f"{contents!r}\n{wrong}") from None
        judge.refused += missed
        judge.read += not missed
    judge.was_worth_it(COUNT)
    assert (files.directory / "usage.lock").read_bytes() == lock


LOCKS: list[Callable[[int], Json]] = [
    lambda now: {"blocked_until": now + 25, "error": "NetworkError"},
    lambda now: {"blocked_until": now + 3000, "error": "RateLimited"},
    lambda now: {"blocked_until": now - 25, "error": "Forbidden"},
    lambda now: {"blocked_until": now + 1000},
    lambda now: {"blocked_until": now + 1000, "error": None},
    lambda now: {"blocked_until": now + 10 * DAY, "error": "Unauthorized"},
    lambda _: {"blocked_until": 0},
    lambda _: {"blocked_until": -1},
    lambda _: {"blocked_until": 1},
    lambda _: {"blocked_until": 2**63 - 1},
    lambda _: {"blocked_until": -(2**63)},
    lambda _: {"blocked_until": 2**63},
    lambda now: {"blocked_until": float(now + 100)},
    lambda now: {"blocked_until": str(now + 100)},
    lambda now: [now + 100, "Timeout"],
    lambda now: [now + 100],
]
# Of earlier versions, and of whoever touched the file.
OLD_LOCKS = (b"", b"pid 4711\n", b"0", b"\xff", b"null", b"1795170600", b"{}", b" ")


class Lock:
    """Written anew before each question: whoever is not blocked leaves a lock of his own."""

    def __init__(self, directory: Path, contents: bytes, written_at: int) -> None:
        directory.mkdir(exist_ok=True)
        self._directory, self._contents, self._written_at = directory, contents, written_at
        self._write()

    def _write(self) -> None:
        path = self._directory / "usage.lock"
        path.write_bytes(self._contents)
        os.utime(path, (self._written_at, self._written_at))

    def ask(self, peer: UsagePeer, at: int) -> Json:
        self._write()
        return peer.resolve(self._directory, credentials=TOKEN, transport=NOBODY, now=rfc3339(at))


def test_locks(usage_reference: UsagePeer, usage_library: UsagePeer, quick_dir: Path) -> None:
    """When a lock ends, to the second, and what it says."""
    chance = random.Random(f"locks {SEED}")
    mutations, judge = Mutations(chance), Judge()
    for number in range(COUNT):
        now = int(time.time())
        contents = mutations.of([chance.choice(LOCKS)(now)])
        if number < len(OLD_LOCKS):
            contents = OLD_LOCKS[number]
        written_at = now - chance.choice((0, 10, 25, 35, 1000))
        lock = Lock(quick_dir / "shared", contents, written_at)
        until = usage_reference.read_lock(quick_dir / "shared")["blocked_until"]
        # At both sides of its end, by the clock that both are given; the reference finds by the
        # machine's what is too far in the future.
        ends = [now] if until < DAY or until >= now + DAY - 5 else [now, until - 1, until]
        try:
            for at in ends:
                assert_same_answer(lock.ask(usage_reference, at), lock.ask(usage_library, at))
        except AssertionError as wrong:
            if until != written_at + 30 and may_hold_what_nobody_reads(contents):
                judge.only_reference += 1
                continue
            raise AssertionError(f"{contents!r}, until {until}, {ends}: {wrong}") from None
        if until == written_at + 30:
            judge.refused += 1
        else:
            judge.read += 1
    judge.was_worth_it(COUNT)


def test_files_that_cannot_be_read(
    usage_reference: UsagePeer, usage_library: UsagePeer, tmp_path: Path
) -> None:
    for number, name in enumerate(("usage.json", "usage.lock")):
        directory = tmp_path / f"shared-{number}"
        (directory / name).mkdir(parents=True)
        other = copy(directory, tmp_path / f"other-{number}")
        now = now_text()
        transport = {"status": 200, "body": "{}"}
        reference = usage_reference.resolve(
            directory, credentials=TOKEN, transport=transport, now=now
        )
        library = usage_library.resolve(other, credentials=TOKEN, transport=transport, now=now)
        assert_same_answer(reference, library)
        assert_same_contents(directory, other)
