"""Plays a recorded trace (tests/vectors/toolcache_traces.json.gz) to a cache."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Callable

from peer import Cache, Lookup, Roots

Json = Any


def is_of(found: Lookup) -> Json:
    """As the traces write it."""
    if found.state != "hit":
        return found.state
    assert found.payload is not None
    return {"hit": found.payload.decode(), "kind": found.kind}


class Player:
    """One trace over an empty store and workspace."""

    def __init__(self, cache: Cache, key_of: Callable[[str], str]) -> None:
        self._cache = cache
        self._key_of = key_of

    def play(self, operations: list[Json]) -> None:
        """Plays all of it. AssertionError, naming the step, where an answer is another."""
        for number, operation in enumerate(operations):
            found = getattr(self, f"_{operation['op']}")(operation)
            wanted = {
                name: operation[name] for name in ("is", "ok", "entry_count", "known_kinds")
                if name in operation
            }  # fmt: skip
            assert found == wanted, f"step {number}, {operation}: {found}"

    def store_files(self) -> dict[str, str]:
        """The store as `store_after` has it."""
        store, files = self._cache.store, {}
        for path in sorted(store.glob("[0-9a-f][0-9a-f]/*")):
            text = path.read_bytes().decode()
            files[str(path.relative_to(store))] = text.replace(str(self._cache.workspace), "$WS")
        return files

    def _key(self, operation: Json) -> str:
        return self._key_of(operation["key"])

    def _roots(self, operation: Json) -> Roots:
        workspace = str(self._cache.workspace)
        return tuple(
            (root["path"].replace("$WS", workspace), root["expected_hash"])
            for root in operation["roots"]
        )

    def _file(self, operation: Json) -> Path:
        return self._cache.workspace / str(operation["path"])

    def _write_file(self, operation: Json) -> Json:
        path = self._file(operation)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(operation["text"])
        seconds, nanoseconds = operation["mtime"]
        mtime = seconds * 1_000_000_000 + nanoseconds
        os.utime(path, ns=(mtime, mtime))
        return {}

    def _delete_file(self, operation: Json) -> Json:
        self._file(operation).unlink(missing_ok=True)
        return {}

    def _persist(self, operation: Json) -> Json:
        upstreams = [self._key_of(name) for name in operation["upstreams"]]
        payload = operation["text"].encode()
        key, kind = self._key(operation), operation["kind"]
        self._cache.persist(key, payload, kind, self._roots(operation), upstreams)
        return {"ok": True}

    def _lookup(self, operation: Json) -> Json:
        return {"is": is_of(self._cache.lookup(self._key(operation)))}

    def _lookup_revalidate(self, operation: Json) -> Json:
        return {"is": is_of(self._cache.lookup_revalidate(self._key(operation)))}

    def _contains(self, operation: Json) -> Json:
        return {"is": self._cache.contains(self._key(operation))}

    def _mark_dirty(self, operation: Json) -> Json:
        self._cache.mark_dirty(self._key(operation))
        return {}

    def _invalidate_upstream(self, operation: Json) -> Json:
        return {"is": self._cache.invalidate_upstream(self._key(operation))}

    def _invalidate_path(self, operation: Json) -> Json:
        path = f"{self._cache.workspace}/{operation['path']}"
        return {"is": self._cache.invalidate_path(path)}

    def _stats(self, _: Json) -> Json:
        return {
            "entry_count": self._cache.entry_count(),
            "known_kinds": self._cache.known_kinds(),
        }

    def _reopen(self, _: Json) -> Json:
        self._cache.reopen()
        return {}

    def _entry_file(self, operation: Json, ending: str) -> Path:
        key = self._key(operation)
        return self._cache.store / key[:2] / (key + ending)

    def _drop_meta(self, operation: Json) -> Json:
        self._entry_file(operation, ".meta.json").unlink(missing_ok=True)
        return {}

    def _drop_payload(self, operation: Json) -> Json:
        self._entry_file(operation, ".payload").unlink(missing_ok=True)
        return {}

    def _corrupt_meta(self, operation: Json) -> Json:
        path = self._entry_file(operation, ".meta.json")
        if path.exists():
            path.write_text('{"bytes":')
        return {}

    def _corrupt_payload(self, operation: Json) -> Json:
        path = self._entry_file(operation, ".payload")
        if path.exists():
            path.write_text("garbage")
        return {}


def as_json(files: dict[str, str]) -> Json:
    """Metas by what they say, the rest by its bytes."""
    said: dict[str, Json] = {}
    for name, text in files.items():
        try:
            said[name] = json.loads(text) if name.endswith(".meta.json") else text
        except ValueError:
            said[name] = text
    return said
