"""A game of many turns: the reference and the library on one store and workspace, each change and
each question by one of them at random, and everything compared with the model and with each other.
"""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from files import Workspace
from index_damage import DAMAGES, OldCopies, index_of
from model import BROKEN_META, GARBAGE, Ledger, Meta, View, files_in
from peer import Cache, Lookup, Peer, Roots

KEYS = 14
KINDS = ("read", "glob", "grep", "bash", "llm_call")
PAYLOADS = (b"", b"result", b"\x00\xff binary \n", "zwölf Ünï".encode(), b"long " * 3000)


@dataclass
class Party:
    """An open cache that lives for many turns, and what it may know."""

    cache: Cache
    view: View

    @property
    def name(self) -> str:
        return self.cache.peer.name


class Game:
    """One seed."""

    def __init__(
        self, seed: int, directory: Path, reference: Peer, libraries: list[Peer], fresh: Peer
    ) -> None:
        self.chance = random.Random(seed)
        self.history: list[str] = []
        directory.mkdir()
        self._directory = directory
        self._reference, self._fresh_library = reference, fresh
        self._hashes: dict[bytes, str] = {}
        self.workspace = Workspace(directory / "workspace", self.chance, self._hash_of)
        self.ledger = Ledger(self.workspace, self._hash_of)
        self.store = directory / "store"
        self.keys = [reference.key(f"seed {seed}, key {i}".encode()) for i in range(KEYS)]
        self._old = OldCopies(self.store, self._made("old-indexes"), self.chance)
        self._copies = self._made("copies")
        self._parties = [
            Party(self._opened(peer), View(self.ledger, refuses_outdated=peer is not reference))
            for peer in (reference, *libraries)
        ]

    def _made(self, name: str) -> Path:
        path = self._directory / name
        path.mkdir()
        return path

    def _hash_of(self, data: bytes) -> str:
        if data not in self._hashes:
            self._hashes[data] = self._reference.key(data)
        return self._hashes[data]

    def _opened(self, peer: Peer, store: Path | None = None) -> Cache:
        return peer.open(store or self.store, self.workspace.path)

    # -------------------------------------------------------------------- turns

    def play(self, turns: int) -> None:
        """AssertionError, with the latest turns, where anybody is wrong."""
        ways: list[tuple[int, Callable[[], str]]] = [
            (22, self._change_files),
            (28, self._persist),
            (24, self._ask_some),
            (5, self._invalidate_path),
            (4, self._invalidate_upstream),
            (3, self._mark_dirty),
            (2, self._evict),
            (2, self._sweep),
            (4, self._meddle),
            (5, self._damage_index),
            (5, self._reopen),
            (3, self._try_on_copies),
        ]
        weights = [weight for weight, _ in ways]
        for turn in range(turns):
            (_, way) = self.chance.choices(ways, weights)[0]
            try:
                self.history.append(f"{turn}: {way()}")
                assert files_in(self.store) == self.ledger.files()
                if way not in (self._ask_some, self._try_on_copies):
                    self._compare_fresh_ones()
            except Exception as wrong:
                raise AssertionError(
                    self._what_led_to(f"{turn}, {way.__name__}: {wrong}")
                ) from wrong
        for party in self._parties:
            party.cache.close()

    def _what_led_to(self, wrong: str) -> str:
        history = self._directory / "history.txt"
        history.write_text("\n".join(self.history) + "\n")
        latest = "\n  ".join(self.history[-25:])
        return f"turn {wrong}\nafter (all turns: {history})\n  {latest}"

    def _any_key(self) -> str:
        return self.chance.choice(self.keys)

    def _any_party(self) -> Party:
        return self.chance.choice(self._parties)

    def _others(self, party: Party) -> Iterator[View]:
        return (other.view for other in self._parties if other is not party)

    def _change_files(self) -> str:
        return self.workspace.change()

    def _roots(self, cache: Cache) -> Roots:
        """Up to three, fingerprinted by the one who persists; now and then an outdated one."""
        roots = []
        for _ in range(self.chance.choice((0, 1, 1, 1, 2, 3))):
            path, form = self.workspace.any_path()
            whole = self.workspace.path / path
            found = cache.fingerprint(whole, form)
            wanted = self.workspace.fingerprint(path, form)
            assert found == wanted, f"{form} of {path} by {cache.peer.name}: {found}, not {wanted}"
            if found is None or self.chance.random() < 0.05:
                found = {"directory": "dir:", "stat": "stat:"}.get(form, "") + "0" * 64
            roots.append((path, found))
        return tuple(roots)

    def _persist(self) -> str:
        party, key = self._any_party(), self._any_key()
        upstreams = self.chance.sample(self.keys, self.chance.choice((0, 0, 0, 1, 1, 2, 3)))
        kind = self.chance.choice(KINDS)
        payload = self.chance.choice(PAYLOADS) + str(self.chance.randrange(10)).encode()
        meta = Meta(payload, kind, self._roots(party.cache), tuple(upstreams))
        party.cache.persist(key, payload, kind, meta.roots, upstreams)
        self.ledger.persist(key, meta)
        party.view.persisted(key, meta)
        for view in self._others(party):
            view.persisted_by_another(key, meta)
        others = [upstream[:8] for upstream in upstreams]
        return f"{party.name} persists {key[:8]}, {kind}, {meta.roots}, from {others}"

    def _ask_some(self) -> str:
        party, asked = self._any_party(), []
        for key in self.chance.choices(self.keys, k=5):
            what = self.chance.choice(("lookup", "revalidate", "revalidate", "contains", "totals"))
            asked.append(f"{what} {key[:8]}")
            self._ask(party.cache, party.view, what, key)
        return f"{party.name}: {', '.join(asked)}"

    def _ask(self, cache: Cache, view: View, what: str, key: str) -> Any:
        """Asks, and holds the answer against what it may be."""
        try:
            return self._asked(cache, view, what, key)
        except AssertionError as wrong:
            known = [known and (known.kind, known.roots) for known in view.of(key)]
            index = " over a damaged index" if view.index_is_damaged else ""
            message = f"{cache.peer.name}{index}, which may know {known}, is wrong: {wrong}"
            raise AssertionError(message) from None

    def _asked(self, cache: Cache, view: View, what: str, key: str) -> Any:
        if what == "lookup":
            found = self._known_bytes(key, cache.lookup(key))
            view.check_lookup(key, found)
            return found
        if what == "revalidate":
            found = self._known_bytes(key, cache.lookup_revalidate(key))
            view.check_revalidation(key, found)
            return found
        if what == "contains":
            present = cache.contains(key)
            view.check_contains(key, present)
            return present
        totals = cache.entry_count(), cache.known_kinds(), cache.total_bytes()
        view.check_totals(*totals[:2])
        size = sum(path.stat().st_size for path in self.store.glob("[0-9a-f][0-9a-f]/*"))
        assert totals[2] == size, f"{totals[2]} bytes, not {size}"
        return totals

    def _known_bytes(self, key: str, found: Lookup) -> Lookup:
        if found.state == "hit":
            payloads = {meta.payload for meta in self.ledger.ever_persisted.get(key, ())}
            assert found.payload in payloads
        return found

    def _dropped(self, party: Party, keys: Iterable[str]) -> None:
        self.ledger.drop(keys)
        party.view.dropped(keys)

    def _invalidate_path(self) -> str:
        party, path = self._any_party(), self.workspace.any_absolute_path()
        found, matches = party.cache.invalidate_path(path), self.ledger.with_root(path)
        assert found == len(matches), f"{found} with root {path}, not {len(matches)}"
        self._dropped(party, self.ledger.dependents(matches))
        return f"{party.name}: invalidate_path {path}: {found}"

    def _invalidate_upstream(self) -> str:
        party, key = self._any_party(), self._any_key()
        found, gone = party.cache.invalidate_upstream(key), self.ledger.dependents([key]) - {key}
        assert found == len(gone), f"{found} depend on {key[:8]}, not {len(gone)}"
        self._dropped(party, gone)
        return f"{party.name}: invalidate_upstream {key[:8]}: {found}"

    def _mark_dirty(self) -> str:
        party, key = self._any_party(), self._any_key()
        party.cache.mark_dirty(key)
        self._dropped(party, [key])
        return f"{party.name}: mark_dirty {key[:8]}"

    def _evict(self) -> str:
        party = self._any_party()
        cap = int(party.cache.total_bytes() * self.chance.choice((0.3, 0.7, 0.9, 1)))
        gone = self.ledger.evicted_to(cap, self.store)
        found = party.cache.evict_to_cap(cap)
        assert found == len(gone), f"{found} evicted to {cap}, not {len(gone)}"
        self.ledger.drop(gone)
        party.view.may_have_forgotten(gone)
        return f"{party.name}: evict_to_cap {cap}: {found}"

    def _sweep(self) -> str:
        """Only the library can."""
        able = [party for party in self._parties if party.cache.peer is not self._reference]
        if not able:
            return "nobody can sweep"
        party = self.chance.choice(able)
        halves = [key for key, entry in self.ledger.entries.items() if entry.is_half]
        party.cache.ask("sweep", min_age_s=0)
        self.ledger.drop(halves)
        party.view.may_have_forgotten(halves)
        return f"{party.name}: sweep, {len(halves)} halves"

    def _meddle(self) -> str:
        """Somebody damages an entry."""
        if not self.ledger.entries:
            return "nothing to meddle with"
        key = self.chance.choice(list(self.ledger.entries))
        entry, name = self.ledger.entries[key], self.store / key[:2] / key
        payload, meta = name.with_suffix(".payload"), name.with_suffix(".meta.json")
        way = self.chance.choice(("drop payload", "drop meta", "damage payload", "damage meta"))
        if way == "drop payload" and entry.payload is not None:
            payload.unlink()
            self.ledger.change(key, payload=None)
        elif way == "drop meta" and entry.has_meta_file:
            meta.unlink()
            self.ledger.change(key, meta=None, meta_broken=False)
        elif way == "damage payload" and entry.payload is not None:
            payload.write_bytes(GARBAGE)
            self.ledger.change(key, payload=GARBAGE)
        elif way == "damage meta" and entry.has_meta_file:
            # As everybody writes there: a new file, renamed over the old one.
            other = self._directory / "broken-meta"
            other.write_bytes(BROKEN_META)
            other.rename(meta)
            self.ledger.change(key, meta=None, meta_broken=True)
        return f"{way} of {key[:8]}"

    def _damage_index(self) -> str:
        if self.chance.random() < 0.4:
            self._old.take()
            return "copied the index"
        if self.chance.random() < 0.4 and self._old.restore():
            what = "restored an old index"
        else:
            damage = self.chance.choice(DAMAGES)
            with contextlib.suppress(FileNotFoundError):
                damage(index_of(self.store), self.chance)
            what = f"index: {damage.__name__}"
        for party in self._parties:
            party.view.index_damaged()
        return what

    def _reopen(self) -> str:
        party = self._any_party()
        party.cache.reopen()
        party.view.reopened()
        return f"{party.name} reopens"

    # ------------------------------------------------------- opened a moment ago

    def _compare_fresh_ones(self) -> None:
        """What was opened a moment ago knows what is on disk, whoever it is."""
        answers = []
        for peer in (self._reference, self._fresh_library):
            cache = self._opened(peer)
            view = View(self.ledger, refuses_outdated=False)
            found = [self._ask(cache, view, "totals", "")]
            for what in ("contains", "revalidate", "revalidate", "lookup", "revalidate"):
                found += [self._ask(cache, view, what, key) for key in self.keys]
            found.append(self._ask(cache, view, "totals", ""))
            cache.close()
            answers.append(found)
        assert answers[0] == answers[1]

    def _try_on_copies(self) -> str:
        """What changes the store is done to a copy each; both copies are the same afterwards."""
        what, argument = self.chance.choice(
            (
                ("invalidate_path", self.workspace.any_absolute_path()),
                ("invalidate_upstream", self._any_key()),
                ("evict_to_cap", self.chance.randrange(40_000)),
                ("mark_dirty", self._any_key()),
            )
        )
        outcomes = []
        for peer in (self._reference, self._fresh_library):
            copy = self._copies / peer.name
            without = [] if self.chance.random() < 0.5 else [".satchel"]
            shutil.copytree(self.store, copy, ignore=shutil.ignore_patterns(*without))
            cache = self._opened(peer, copy)
            count = getattr(cache, what)(argument)
            known = cache.entry_count() if what != "evict_to_cap" else None
            cache.close()
            outcomes.append((count, known, files_in(copy)))
            shutil.rmtree(copy)
        assert outcomes[0] == outcomes[1], f"{what} {argument}"
        return f"both on a copy: {what} {argument}: {outcomes[0][0]}"
