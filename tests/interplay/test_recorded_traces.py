"""The recorded traces: the reference built here answers as it did when they were recorded, and the
library answers the same through its Python package. satchel-vectors plays all of them to the
library; here every fifth does, unless SATCHEL_INTERPLAY_SEEDS asks for a long run.
"""

from __future__ import annotations

import functools
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from peer import Peer
from recorded import Player, as_json

Json = Any
VECTORS = Path(__file__).resolve().parents[1] / "vectors"
TRACES = Path(os.environ.get("SATCHEL_TRACES", VECTORS / "toolcache_traces.json.gz"))


@functools.cache
def traces() -> list[Json]:
    data = TRACES.read_bytes()
    found: list[Json] = json.loads(gzip.decompress(data) if TRACES.suffix == ".gz" else data)
    return found


def test_every_answer_is_the_recorded_one(either: Peer, tmp_path: Path) -> None:
    key_of = functools.cache(lambda name: either.key(name.encode()))
    is_short = either.name == "library" and "SATCHEL_INTERPLAY_SEEDS" not in os.environ
    played = traces()[:: 5 if is_short else 1]
    wrong = []
    for trace in played:
        directory = tmp_path / f"trace-{trace['seed']}"
        workspace = directory / "workspace"
        workspace.mkdir(parents=True)
        player = Player(either.open(directory / "store", workspace), key_of)
        try:
            player.play(trace["ops"])
            assert as_json(player.store_files()) == as_json(trace["store_after"])
        except AssertionError as difference:
            wrong.append(f"trace {trace['seed']}: {difference}")
    if wrong:
        pytest.fail(f"{len(wrong)} of {len(played)} traces differ\n" + "\n".join(wrong[:5]))
