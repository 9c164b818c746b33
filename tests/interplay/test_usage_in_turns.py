"""The library and linesmith's own crate take turns on one cache directory.

SATCHEL_INTERPLAY_SEEDS, 2 unless it is set, is the number of games.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from usage_peer import UsagePeer
from usage_turns import UsageGame

SEEDS = int(os.environ.get("SATCHEL_INTERPLAY_SEEDS", "2"))
TURNS = 1500


@pytest.mark.parametrize("seed", range(SEEDS))
def test_they_agree_on_one_directory(
    seed: int, usage_reference: UsagePeer, usage_library: UsagePeer, quick_dir: Path
) -> None:
    game = UsageGame(seed, quick_dir / "game", usage_reference, usage_library)
    game.play(TURNS)
    assert game.requests > TURNS / 20
    assert game.from_files > TURNS / 20
