"""What the store holds and what each process knows, by the specification alone.

Ledger is the truth about the store: what was last persisted under each key by anyone, and not
dropped since. View is what one open cache knows of it. Where the library may know more or less than
the specification demands, a view holds every possibility, and each answer narrows them down.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Optional

from files import Workspace
from peer import Lookup, Roots

GARBAGE = b"garbage"
BROKEN_META = b'{"bytes":'


@dataclass(frozen=True)
class Meta:
    """What stands beside a payload."""

    payload: bytes
    kind: str
    roots: Roots
    upstreams: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """What the store has under a key; None is a file that is not there."""

    payload: bytes | None
    meta: Meta | None
    meta_broken: bool = False

    @property
    def has_meta_file(self) -> bool:
        return self.meta is not None or self.meta_broken

    @property
    def is_half(self) -> bool:
        return (self.payload is None) != (not self.has_meta_file)


@dataclass(frozen=True)
class Known:
    """What a process knows of an entry."""

    kind: str
    roots: Roots

    @staticmethod
    def of(meta: Meta) -> Known:
        return Known(meta.kind, meta.roots)


MaybeKnown = Optional[Known]


class Ledger:
    """The store as it must be."""

    def __init__(self, workspace: Workspace, hash_of: Callable[[bytes], str]) -> None:
        self.entries: dict[str, Entry] = {}
        self.ever_persisted: dict[str, set[Meta]] = {}
        self._workspace = workspace
        self._hash_of = hash_of

    def persist(self, key: str, meta: Meta) -> None:
        self.entries[key] = Entry(meta.payload, meta)
        self.ever_persisted.setdefault(key, set()).add(meta)

    def drop(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.entries.pop(key, None)

    def change(self, key: str, **fields: Any) -> None:
        """Somebody meddled with one of its files."""
        entry = replace(self.entries[key], **fields)
        self.entries[key] = entry
        if entry.payload is None and not entry.has_meta_file:
            del self.entries[key]

    # ------------------------------------------------------------------- walks

    def dependents(self, keys: Iterable[str]) -> set[str]:
        """Whatever depends on one of them, directly or through others, themselves included."""
        reached = set(keys)
        while True:
            more = {
                key
                for key, entry in self.entries.items()
                if key not in reached and entry.meta and reached & set(entry.meta.upstreams)
            }
            if not more:
                return reached
            reached |= more

    def with_root(self, path: str) -> set[str]:
        """The entries that an edit of this path concerns directly."""
        target = (self._workspace.canonical(path) or path).lower()

        def is_meant(root: str) -> bool:
            canonical = self._workspace.canonical(root)
            if canonical is not None:
                return canonical.lower() == target
            whole = os.path.join(self._workspace.path, root)
            return path.lower() in (whole.lower(), root.lower())

        return {
            key
            for key, entry in self.entries.items()
            if entry.meta and any(is_meant(root) for root, _ in entry.meta.roots)
        }

    def all_fresh(self, roots: Roots) -> bool:
        return all(self._workspace.is_fresh(path, expected) for path, expected in roots)

    # ------------------------------------------------------------------- files

    def files(self) -> dict[str, Any]:
        """The store's files as they must be: payloads as bytes, metas as JSON."""
        found: dict[str, Any] = {}
        for key, entry in self.entries.items():
            name = f"{key[:2]}/{key}"
            if entry.payload is not None:
                found[f"{name}.payload"] = entry.payload
            if entry.meta_broken:
                found[f"{name}.meta.json"] = BROKEN_META
            elif entry.meta:
                found[f"{name}.meta.json"] = self._written(entry.meta)
        return found

    def _written(self, meta: Meta) -> Any:
        return [
            ("payload_hash", self._hash_of(meta.payload)),
            ("bytes", len(meta.payload)),
            ("tool_kind", meta.kind),
            ("file_roots", [[("path", p), ("expected_hash", e)] for p, e in meta.roots]),
            ("upstream_keys", list(meta.upstreams)),
        ]

    def evicted_to(self, cap: int, store: Path) -> set[str]:
        """What an eviction to this size would remove."""
        order, total = [], 0
        for key, entry in self.entries.items():
            name = store / key[:2] / key
            payload, meta = name.with_suffix(".payload"), name.with_suffix(".meta.json")
            there = [
                path.stat()
                for path, is_there in (
                    (payload, entry.payload is not None),
                    (meta, entry.has_meta_file),
                )
                if is_there
            ]
            size = sum(status.st_size for status in there)
            order.append((there[0].st_mtime_ns, key, size))
            total += size
        gone = set()
        for _, key, size in sorted(order):
            if total <= cap:
                break
            gone.add(key)
            total -= size
        return gone


def files_in(store: Path) -> dict[str, Any]:
    """The files that a store has, in the form of Ledger.files().

    .satchel is the library's to fill, as long as it holds directories only: the reference takes
    files directly in it for payload.
    """
    found: dict[str, Any] = {}
    for folder in store.iterdir():
        for path in folder.iterdir():
            if folder.name == ".satchel":
                assert path.is_dir(), f"{path} counts as payload for the reference"
                continue
            name, data = f"{folder.name}/{path.name}", path.read_bytes()
            is_meta = path.name.endswith(".meta.json")
            try:
                found[name] = json.loads(data, object_pairs_hook=list) if is_meta else data
            except ValueError:
                found[name] = data
    return found


class View:
    """What one open cache may know: for each key the possibilities, None for not knowing it."""

    def __init__(self, ledger: Ledger, refuses_outdated: bool) -> None:
        self._ledger = ledger
        # Whether it may take what stands on disk for the truth where the specification asks for
        # the roots it knew before: the library may, the reference never does.
        self._refuses_outdated = refuses_outdated
        self._known: dict[str, frozenset[MaybeKnown]] = {}
        self.index_is_damaged = False
        self.reopened()

    def reopened(self) -> None:
        self.index_is_damaged = False
        self._known = {
            key: frozenset([Known.of(entry.meta)])
            for key, entry in self._ledger.entries.items()
            if entry.meta
        }

    def of(self, key: str) -> frozenset[MaybeKnown]:
        return self._known.get(key, frozenset([None]))

    def _narrow(self, key: str, possible: Iterable[MaybeKnown]) -> None:
        self._known[key] = frozenset(possible)

    # ------------------------------------------------- what happened to the store

    def persisted(self, key: str, meta: Meta) -> None:
        self._narrow(key, [Known.of(meta)])

    def dropped(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._narrow(key, [None])

    def persisted_by_another(self, key: str, meta: Meta) -> None:
        if self._refuses_outdated and (self.index_is_damaged or self.of(key) != {None}):
            self._narrow(key, self.of(key) | {Known.of(meta)})

    def may_have_forgotten(self, keys: Iterable[str]) -> None:
        if self._refuses_outdated:
            for key in keys:
                self._narrow(key, self.of(key) | {None})

    def index_damaged(self) -> None:
        """What was known at opening may be lost, or be what is there when the index is made anew,
        which is later, or what an old copy says of it: until the next opening only a hit is
        certain. No byte depends on that.
        """
        if self._refuses_outdated:
            self.index_is_damaged = True
            for key in self._ledger.ever_persisted:
                self._widen(key)

    def _widen(self, key: str) -> None:
        metas = self._ledger.ever_persisted.get(key, ())
        self._narrow(key, self.of(key) | {None} | {Known.of(meta) for meta in metas})

    # ------------------------------------------------------------------ answers

    def _stored(self, key: str) -> Lookup:
        """What the store says of an entry."""
        entry = self._ledger.entries.get(key)
        if entry is None or entry.is_half:
            return Lookup("miss")
        if entry.meta is None:
            return Lookup("meta_error")
        if entry.payload != entry.meta.payload:
            return Lookup("integrity_error")
        meta = entry.meta
        return Lookup("hit", meta.payload, meta.kind, meta.roots, meta.upstreams)

    def _looked_up(self, key: str, known: MaybeKnown) -> tuple[Lookup, MaybeKnown]:
        """The answer, and what is known after it."""
        stored = self._stored(key)
        if stored.state == "hit":
            return stored, known or self._as_stored(key)
        return stored, None if stored.state == "miss" else known

    def _revalidated(self, key: str, known: MaybeKnown) -> tuple[Lookup, MaybeKnown]:
        if known and not self._ledger.all_fresh(known.roots):
            return Lookup("invalidated"), None
        stored = self._stored(key)
        if stored.state != "hit":
            return stored, None if stored.state == "miss" else known
        if known is None and not self._ledger.all_fresh(stored.roots):
            return Lookup("invalidated"), None
        return stored, known or self._as_stored(key)

    def _as_stored(self, key: str) -> MaybeKnown:
        meta = self._ledger.entries[key].meta
        assert meta is not None
        return Known.of(meta)

    def _check(
        self, key: str, found: Lookup, answers: list[tuple[Lookup, MaybeKnown]], what: str
    ) -> None:
        allowed = [answer for answer, _ in answers]
        assert found in allowed, f"{what} of {key[:8]}: {found}, not {allowed}"
        self._narrow(key, [known for answer, known in answers if answer == found])
        if self.index_is_damaged and found.state != "hit":
            self._widen(key)

    def check_lookup(self, key: str, found: Lookup) -> None:
        answers = [self._looked_up(key, known) for known in self.of(key)]
        self._check(key, found, answers, "lookup")

    def check_revalidation(self, key: str, found: Lookup) -> None:
        answers = [self._revalidated(key, known) for known in self.of(key)]
        if self._refuses_outdated:
            # A hit must be fresh by what stands on disk, whatever was known before.
            stored = self._stored(key)
            if stored.state == "hit" and not self._ledger.all_fresh(stored.roots):
                answers = [(Lookup("invalidated"), None)]
        self._check(key, found, answers, "lookup_revalidate")

    def check_contains(self, key: str, found: bool) -> None:
        entry = self._ledger.entries.get(key)
        whole = entry is not None and not entry.is_half
        possible = [known for known in self.of(key) if found == (whole or known is not None)]
        assert possible, f"contains {key[:8]}: {found}"
        if not self.index_is_damaged:
            self._narrow(key, possible)

    def check_totals(self, count: int, kinds: list[str]) -> None:
        views = list(self._known.values())
        least = sum(None not in view for view in views)
        most = sum(view != {None} for view in views)
        assert least <= count <= most, f"{count} entries known, not {least} to {most}"
        sure = {
            known.kind for view in views if len(view) == 1 for known in view if known is not None
        }
        possible = {known.kind for view in views for known in view if known is not None}
        assert kinds == sorted(set(kinds))
        assert sure <= set(kinds) <= possible, f"{kinds}, not {sorted(sure)}"
