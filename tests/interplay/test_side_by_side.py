"""The reference and the library at work in one store at the same time.

Nothing waits for anybody, so that hardly any answer is certain; but whoever gets bytes gets bytes
that were stored under that key, whole, and at rest both agree again.
"""

from __future__ import annotations

import random
import threading
from pathlib import Path

from model import files_in
from peer import Cache, Peer

KEYS = 8
ROUNDS = 2000


def payload(key: str, number: int) -> bytes:
    """Says itself what it is; of many sizes."""
    return f"{key} {number} ".encode() * (1 + 97 * (number % 13))


class Worker(threading.Thread):
    """Does random things through one cache."""

    def __init__(self, cache: Cache, keys: list[str], file: Path, seed: int) -> None:
        super().__init__()
        self.hits = 0
        self.wrong: list[str] = []
        self._cache, self._keys, self._file = cache, keys, file
        self._chance = random.Random(seed)

    def run(self) -> None:
        try:
            for number in range(ROUNDS):
                self._turn(number)
        except Exception as error:
            self.wrong.append(repr(error))

    def _turn(self, number: int) -> None:
        key = self._chance.choice(self._keys)
        way = self._chance.random()
        if way < 0.3:
            expected = self._cache.fingerprint(self._file, "content")
            assert expected is not None
            upstreams = self._chance.sample(self._keys, 1)
            roots = ((self._file.name, expected),)
            self._cache.persist(key, payload(key, number), "read", roots, upstreams)
        elif way < 0.9:
            self._look(key)
        elif way < 0.95:
            self._cache.mark_dirty(key)
        elif way < 0.98:
            self._cache.invalidate_upstream(key)
        else:
            self._cache.invalidate_path(self._file)

    def _look(self, key: str) -> None:
        found = self._cache.lookup_revalidate(key)
        if found.state == "hit":
            self.hits += 1
            assert found.payload is not None
            number = int(found.payload.split()[1])
            if found.payload != payload(key, number):
                self.wrong.append(f"{key[:8]}: {found.payload[:100]!r}")
        elif found.state not in ("miss", "integrity_error"):
            # Two files are renamed one after the other: whoever comes between the two finds a
            # payload and another's meta, and both sides say so.
            self.wrong.append(f"{key[:8]}: {found}")


def test_no_answer_was_never_stored(
    reference: Peer, library: Peer, second_library: Peer, fresh_library: Peer, tmp_path: Path
) -> None:
    store, workspace = tmp_path / "store", tmp_path / "workspace"
    workspace.mkdir()
    file = workspace / "a.txt"
    file.write_text("unchanged")
    keys = [reference.key(bytes([number])) for number in range(KEYS)]
    peers = (reference, library, second_library)
    workers = [
        Worker(peer.open(store, workspace), keys, file, seed) for seed, peer in enumerate(peers)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.wrong for worker in workers] == [[], [], []]
    assert all(worker.hits for worker in workers)

    one, other = (peer.open(store, workspace) for peer in (reference, fresh_library))
    assert [one.lookup_revalidate(key) for key in keys] == [
        other.lookup_revalidate(key) for key in keys
    ]
    assert one.known_kinds() == other.known_kinds()
    assert one.entry_count() == other.entry_count()
    metas = [name for name in files_in(store) if name.endswith(".meta.json")]
    assert one.invalidate_path(file) == len(metas)
