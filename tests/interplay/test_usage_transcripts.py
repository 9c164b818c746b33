"""The two count the same tokens in the same transcripts, whatever becomes of them.

The reference reads all of them each time, the library what is new. SATCHEL_INTERPLAY_SEEDS, 2
unless it is set, is the number of games.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
from transcript_trees import Tree
from usage_directory import assert_same_answer
from usage_peer import UsagePeer, places

Json = Any
SEEDS = int(os.environ.get("SATCHEL_INTERPLAY_SEEDS", "2"))
TURNS = 250


def asked(peer: UsagePeer, cache_dir: Path, where: Json) -> Json:
    """Nobody has credentials, so that the transcripts are the last resort."""
    return peer.resolve(
        cache_dir,
        credentials={"error": "NoCredentials"},
        transport={"error": "network"},
        jsonl=where,
    )


def compare(reference: UsagePeer, library: UsagePeer, cache_dir: Path, where: Json) -> Json:
    """Within one hour of the clock, to which the start of a block is rounded."""
    while True:
        hour = int(time.time()) // 3600
        theirs, ours = (asked(peer, cache_dir, where) for peer in (reference, library))
        if int(time.time()) // 3600 == hour:
            assert_same_answer(theirs, ours)
            return theirs["result"]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_they_count_the_same(
    seed: int, usage_reference: UsagePeer, usage_library: UsagePeer, quick_dir: Path
) -> None:
    chance = random.Random(f"transcripts {seed}")
    tree = Tree(quick_dir / "tree", chance)
    where = places(**tree.places)
    history, blocks = [], 0
    for turn in range(TURNS):
        history.append(f"{turn}: {tree.change()}")
        # A new directory now and then: whoever reads everything and whoever reads what is new.
        cache_dir = quick_dir / ("cache" if chance.random() < 0.8 else f"cache-{turn}")
        try:
            result = compare(usage_reference, usage_library, cache_dir, where)
        except AssertionError as wrong:
            latest = "\n  ".join(history[-12:])
            raise AssertionError(f"turn {turn}: {wrong}\nafter\n  {latest}") from None
        blocks += bool(result.get("five_hour"))
    assert blocks > TURNS / 4


@pytest.mark.parametrize("there", ["nothing", "no projects", "no sessions", "no entries"])
def test_where_there_is_nothing(
    usage_reference: UsagePeer, usage_library: UsagePeer, tmp_path: Path, there: str
) -> None:
    config_dir = tmp_path / "claude"
    if there != "nothing":
        config_dir.mkdir()
    if there not in ("nothing", "no projects"):
        (config_dir / "projects" / "w").mkdir(parents=True)
    if there == "no entries":
        (config_dir / "projects" / "w" / "s.jsonl").write_text("{}\nno\n")
    where = places(config_dir=config_dir)
    assert compare(usage_reference, usage_library, tmp_path / "cache", where) == {
        "error": "NoCredentials"
    }
