"""Paths that are bytes and no text: the library keeps them exactly, and the reference is not led
astray by what stands in the store for them.
"""

from __future__ import annotations

import os
from pathlib import Path

from peer import Lookup, Peer


def test_a_path_that_is_no_utf8(reference: Peer, library: Peer, tmp_path: Path) -> None:
    store, workspace = tmp_path / "store", tmp_path / "workspace"
    workspace.mkdir()
    file = workspace / os.fsdecode(b"b\xffd.txt")
    file.write_text("content")
    ours, key = library.open(store, workspace), reference.key(b"call")
    expected = ours.fingerprint(file, "content")
    assert expected is not None
    roots = ((file.name, expected),)
    ours.persist(key, b"result", "read", roots)

    hit = Lookup("hit", b"result", "read", roots)
    assert library.open(store, workspace).lookup_revalidate(key) == hit
    theirs = reference.open(store, workspace)
    assert theirs.lookup(key) == Lookup("hit", b"result", "read", (("b\ufffdd.txt", expected),))
    assert reference.open(store, workspace).lookup_revalidate(key) == Lookup("invalidated")
    assert ours.lookup_revalidate(key) == hit

    assert ours.invalidate_path(file) == 1
    ours.persist(key, b"result", "read", roots)
    assert theirs.invalidate_path(file) == 1
    assert library.open(store, workspace).lookup(key) == Lookup("miss")
