"""An index of the user's own, written in Python."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import satchel
from conftest import CONFIG, MODEL, PROMPT_TOKENS, chat_body, json_response, put_through

if TYPE_CHECKING:
    from collections.abc import Sequence

SCOPE_ID_BYTES = 16


class Table:
    """Entries in a dictionary."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.entries: dict[tuple[bytes, bytes], satchel.Entry] = {}
        self.scopes: list[satchel.Scope] = []
        self.away = False
        self.clears = 0

    def find(
        self, scope: satchel.Scope, hashes: Sequence[bytes], live_after: int
    ) -> list[satchel.Entry]:
        with self.lock:
            self.scopes.append(scope)
            found = [self.entries.get((scope.id, digest)) for digest in hashes]
            return [entry for entry in found if entry and entry.expires_at > live_after]

    def commit(
        self,
        scope: satchel.Scope,
        entries: Sequence[satchel.Entry],
        refresh: satchel.Refresh | None,
    ) -> bool:
        with self.lock:
            if self.away:
                raise ConnectionRefusedError
            self.entries.update({(scope.id, entry.hash): entry for entry in entries})
            if refresh is None or (scope.id, refresh.hash) not in self.entries:
                return False
            old = self.entries[scope.id, refresh.hash]
            self.entries[scope.id, refresh.hash] = satchel.Entry(
                old.hash, old.cumulative_token_count, old.tier, refresh.expires_at
            )
            return True

    def clear(self) -> None:
        self.clears += 1
        self.entries.clear()


def read_tokens(cache: satchel.PromptCache) -> int:
    _, result = put_through(cache, chat_body(), json_response())
    return result.read


def test_two_caches_share_a_table() -> None:
    table = Table()
    with (
        satchel.PromptCache(CONFIG, index=table) as first,
        satchel.PromptCache(CONFIG, index=table) as second,
    ):
        assert read_tokens(first) == 0
        first.flush()
        assert read_tokens(second) == PROMPT_TOKENS
        second.flush()
        assert second.index_counts.entries_refreshed == 1
        second.forget()
        assert table.clears == 1
        assert read_tokens(first) == 0
    scope = table.scopes[0]
    assert scope.model == MODEL
    assert scope.principal.startswith("key-")
    assert len(scope.id) == SCOPE_ID_BYTES
    assert {entry.tier for entry in table.entries.values()} <= {"5m", "1h", "24h"}


def test_a_table_that_is_away_gets_its_entries_when_it_is_back() -> None:
    table = Table()
    table.away = True
    with satchel.PromptCache(CONFIG, index=table, log_level="off") as cache:
        assert read_tokens(cache) == 0
        assert read_tokens(cache) == PROMPT_TOKENS, "seen while it waits"
        with pytest.raises(satchel.DeadlineError):
            cache.flush(0.3)
        assert not table.entries
        table.away = False
        cache.flush()
        assert table.entries
        assert cache.index_counts.entries_dropped == 0
        assert cache.index_counts.write_retries > 0


def test_a_table_that_fails_leaves_requests_uncached(unraisable: list[BaseException]) -> None:
    class Broken(Table):
        def find(self, *_: object) -> list[satchel.Entry]:
            raise RuntimeError("no table")

    with satchel.PromptCache(CONFIG, index=Broken(), log_level="off") as cache:
        assert read_tokens(cache) == 0
        assert cache.index_counts.lookup_failures == 1
    assert [str(error) for error in unraisable] == ["no table"]


@pytest.mark.parametrize(
    "entry",
    [
        satchel.Entry(b"short", 1, "5m", 1),
        satchel.Entry(b"x" * 32, 2**32, "5m", 1),
        satchel.Entry(b"x" * 32, 1, "2h", 1),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_entry_is_no_answer(
    entry: satchel.Entry,
    unraisable: list[BaseException],  # noqa: ARG001, keeps them from the test's output
) -> None:
    class Wrong(Table):
        def find(self, *_: object) -> list[satchel.Entry]:
            return [entry]

    with satchel.PromptCache(CONFIG, index=Wrong(), log_level="off") as cache:
        assert read_tokens(cache) == 0
        assert cache.index_counts.lookup_failures == 1


def test_an_index_needs_its_methods() -> None:
    with pytest.raises(TypeError, match="index must have a method 'find'"):
        satchel.PromptCache(CONFIG, index=object())  # type: ignore[arg-type]
