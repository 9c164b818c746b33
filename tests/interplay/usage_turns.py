"""A game of many turns: the reference and the library on one directory, one of them asked for real,
the other the same in a copy, and whatever may become of the files in between.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any, Callable

from json_mutations import Mutations, may_hold_what_nobody_reads
from usage_directory import (
    assert_same_answer,
    assert_same_contents,
    contents,
    copy,
    now_text,
    rfc3339,
    write_cached_at,
)
from usage_peer import UsagePeer
from usage_templates import BODIES, CODES, MANY, WHOLE, cache_file, cached, text

Json = Any
# Far enough from every edge (30 s, 180 s, 300 s, a day) that a slow machine does not cross it.
AGES_S = (-3600, -60, 5, 20, 100, 150, 220, 1000, 10**6)
WAITS_S = (-100_000, -3600, -60, -60, 100, 250, 1000, 80_000, 100_000)
MTIMES_S = (0, 5, 60, 1000)
STATUSES = (200, 200, 200, 201, 204, 302, 400, 401, 403, 404, 418, 429, 429, 429, 500, 503, 599)
CREDENTIAL_CODES = (
    *("NoCredentials", "SubprocessFailed", "IoError", "ParseError", "MissingField", "EmptyToken"),
)


class UsageGame:
    """One seed."""

    def __init__(
        self, seed: int, directory: Path, reference: UsagePeer, library: UsagePeer
    ) -> None:
        self.history: list[str] = []
        self.requests = 0
        self.from_files = 0
        self._chance = random.Random(seed)
        self._mutations = Mutations(self._chance)
        self._reference, self._library = reference, library
        directory.mkdir()
        self._history_file = directory / "history.txt"
        self._shared, self._copy = directory / "shared", directory / "copy"

    def play(self, turns: int) -> None:
        """AssertionError, with the latest turns, where they differ."""
        ways: list[tuple[int, Callable[[], str]]] = [
            (30, self._resolve),
            (8, self._age_cache),
            (14, self._change_lock),
            (3, self._odd_cache),
            (3, self._odd_lock),
            (2, self._other_cache),
            (2, self._delete),
            (1, self._obstruct),
        ]
        weights = [weight for weight, _ in ways]
        for turn in range(turns):
            (_, way) = self._chance.choices(ways, weights)[0]
            try:
                self.history.append(f"{turn}: {way()}")
            except Exception as wrong:
                self._history_file.write_text("\n".join(self.history) + "\n")
                latest = "\n  ".join(self.history[-12:])
                raise AssertionError(
                    f"turn {turn}, {way.__name__}: {wrong}\n"
                    f"after (all turns: {self._history_file})\n  {latest}"
                ) from wrong

    # --------------------------------------------------------------------- asking

    def _resolve(self) -> str:
        """One of them where it counts, the other in a copy."""
        self._shared.mkdir(exist_ok=True)
        before = contents(self._shared)
        copy(self._shared, self._copy)
        question = {
            "credentials": self._credentials(),
            "transport": self._transport(),
            "now": now_text(),
            **self._chance.choice(
                ({}, {}, {"cache_duration_s": self._chance.choice((0, 60, 3000))})
            ),
        }
        sides = [self._reference, self._library]
        self._chance.shuffle(sides)
        told = f"{sides[0].name} resolves over {before}: {question}"
        answers = {
            peer: peer.resolve(directory, **question)
            for peer, directory in zip(sides, (self._shared, self._copy))
        }
        try:
            assert_same_answer(answers[self._reference], answers[self._library])
            assert_same_contents(self._shared, self._copy)
        except AssertionError as wrong:
            raise AssertionError(f"{told}\n{wrong}") from None
        asked = answers[self._reference]["calls"]["transport"]
        self.requests += asked
        self.from_files += not asked
        return f"{told}: {answers[self._reference]['result']}"

    def _credentials(self) -> Json:
        if self._chance.random() < 0.1:
            return {"error": self._chance.choice(CREDENTIAL_CODES)}
        return {"token": f"token-{self._chance.randrange(10)}"}

    def _transport(self) -> Json:
        way = self._chance.random()
        if way < 0.1:
            return {"error": "timeout"}
        if way < 0.2:
            return {"error": "network"}
        status = self._chance.choice(STATUSES)
        return {"status": status, "body": self._body(), "retry_after": self._retry_after()}

    def _body(self) -> str:
        way = self._chance.random()
        if way < 0.6:
            return json.dumps(self._chance.choice((WHOLE, MANY, *BODIES)))
        while way >= 0.8:
            mutated = self._mutations.of((WHOLE, *BODIES))
            if not may_hold_what_nobody_reads(mutated):
                return mutated.decode()
        return self._chance.choice(("", "{}", "[]", "<html>", "null", "{} x", '{"limits": 3}'))

    def _retry_after(self) -> str | None:
        seconds = self._chance.choice((-60, 90, 1000, 100_000))
        at = time.time() + seconds
        return self._chance.choice(
            (
                None,
                str(seconds),
                f"+{abs(seconds)}",
                f" {seconds} ",
                formatdate(at, usegmt=True),
                time.strftime("%A, %d-%b-%y %H:%M:%S GMT", time.gmtime(at)),
                time.asctime(time.gmtime(at)),
                "0",
                "1.5",
                "soon",
                "",
                str(2**64 - 1),
                str(2**64),
            )
        )

    # -------------------------------------------------------- what becomes of the files

    def _age_cache(self) -> str:
        age = self._chance.choice(AGES_S)
        done = write_cached_at(self._shared, age)
        return f"the cache is {age} s old" if done else "there is no cache to age"

    def _change_lock(self) -> str:
        wait, code = self._chance.choice(WAITS_S), self._chance.choice((None, *CODES))
        self._reference.write_lock(self._shared, int(time.time()) + wait, code)
        return f"a lock for {wait} s, {code}"

    def _odd_cache(self) -> str:
        at = rfc3339(time.time() - self._chance.choice(AGES_S))
        mutated = self._mutations.of(
            [
                *[cache_file(at, cached(body)) for body in (WHOLE, MANY)],
                cache_file(at, None, {"code": self._chance.choice(CODES)}),
            ]
        )
        if may_hold_what_nobody_reads(mutated):
            return "nothing"
        return self._written("usage.json", mutated, 0)

    def _odd_lock(self) -> str:
        lock = {"blocked_until": int(time.time()) + self._chance.choice(WAITS_S)}
        mutated = self._mutations.of([lock, {**lock, "error": self._chance.choice(CODES)}])
        if may_hold_what_nobody_reads(mutated):
            return "nothing"
        return self._written("usage.lock", mutated, self._chance.choice(MTIMES_S))

    def _written(self, name: str, data: bytes, age_s: int) -> str:
        self._shared.mkdir(exist_ok=True)
        path = self._shared / name
        if path.is_dir():
            return f"{name} is a directory"
        path.write_bytes(data)
        written_at = int(time.time()) - age_s
        os.utime(path, (written_at, written_at))
        return f"{name}, {age_s} s ago: {data!r}"

    def _other_cache(self) -> str:
        """Of another process, with the reference."""
        if (self._shared / "usage.json").is_dir():
            return "usage.json is a directory"
        at = rfc3339(time.time() - self._chance.choice(AGES_S))
        if self._chance.random() < 0.5:
            code = self._chance.choice(CODES)
            self._reference.write_cached_error(self._shared, code, at)
            return f"an error in the cache at {at}: {code}"
        body = text(self._chance.choice((WHOLE, MANY, *BODIES)))
        self._reference.write_cache(self._shared, body, at)
        return f"a cache of {at}: {body.decode()}"

    def _delete(self) -> str:
        if self._chance.random() < 0.3:
            shutil.rmtree(self._shared, ignore_errors=True)
            return "everything is deleted"
        name = self._chance.choice(("usage.json", "usage.lock"))
        self._remove(self._shared / name)
        return f"{name} is deleted"

    def _remove(self, path: Path) -> None:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def _obstruct(self) -> str:
        """A directory where a file belongs."""
        path = self._shared / "usage.json"
        if path.is_dir():
            path.rmdir()
            return "the directory is gone"
        self._remove(path)
        path.mkdir(parents=True)
        return "a directory in the cache's place"
