"""The library and the reference's own crate take turns on one store.

SATCHEL_INTERPLAY_SEEDS, 2 unless it is set, is the number of games; 50 take some ten minutes.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from peer import Peer
from turns import Game

SEEDS = int(os.environ.get("SATCHEL_INTERPLAY_SEEDS", "2"))
TURNS = 400


@pytest.mark.parametrize("seed", range(SEEDS))
def test_they_agree_on_one_store(
    seed: int,
    reference: Peer,
    library: Peer,
    second_library: Peer,
    fresh_library: Peer,
    tmp_path: Path,
) -> None:
    game = Game(seed, tmp_path / "game", reference, [library, second_library], fresh_library)
    game.play(TURNS)


def test_the_model_is_right_about_the_reference(reference: Peer, tmp_path: Path) -> None:
    """The reference in the library's places: where this fails, the model is wrong."""
    Game(SEEDS, tmp_path / "game", reference, [reference], reference).play(TURNS)
