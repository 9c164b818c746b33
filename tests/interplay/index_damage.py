"""What may become of the index beside a store."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from pathlib import Path
from typing import Callable

Damage = Callable[[Path, random.Random], None]


def index_of(store: Path) -> Path:
    return store / ".satchel" / "index"


def files_of(index: Path) -> list[Path]:
    return [path for path in index.rglob("*") if path.is_file()] if index.is_dir() else []


def delete(index: Path, _: random.Random) -> None:
    shutil.rmtree(index, ignore_errors=True)


def delete_all_of_ours(index: Path, _: random.Random) -> None:
    shutil.rmtree(index.parent, ignore_errors=True)


def delete_one_file(index: Path, chance: random.Random) -> None:
    files = files_of(index)
    if files:
        chance.choice(files).unlink()


def truncate(index: Path, _: random.Random) -> None:
    for path in files_of(index):
        os.truncate(path, 0)


def cut_in_half(index: Path, _: random.Random) -> None:
    for path in files_of(index):
        os.truncate(path, path.stat().st_size // 2)


def overwrite_with_noise(index: Path, chance: random.Random) -> None:
    for path in files_of(index):
        with path.open("r+b") as out:
            out.write(chance.randbytes(path.stat().st_size))


def overwrite_one_page(index: Path, chance: random.Random) -> None:
    for path in files_of(index):
        pages = path.stat().st_size // 4096
        if pages:
            with path.open("r+b") as out:
                out.seek(4096 * chance.randrange(pages))
                out.write(chance.randbytes(4096))


def replace_by_noise(index: Path, chance: random.Random) -> None:
    for path in files_of(index):
        other = path.with_name("other")
        other.write_bytes(chance.randbytes(8192))
        other.rename(path)


DAMAGES: list[Damage] = [
    delete,
    delete_all_of_ours,
    delete_one_file,
    truncate,
    cut_in_half,
    overwrite_with_noise,
    overwrite_one_page,
    replace_by_noise,
]


class OldCopies:
    """Copies of an index, taken and put back at other times."""

    def __init__(self, store: Path, place: Path, chance: random.Random) -> None:
        self._index = index_of(store)
        self._place = place
        self._chance = chance
        self._count = 0

    def take(self) -> None:
        if self._index.is_dir():
            shutil.copytree(self._index, self._place / str(self._count))
            self._count += 1

    def restore(self) -> bool:
        """Puts one back, file by file over what is there or as a new directory."""
        if self._count == 0:
            return False
        copy = self._place / str(self._chance.randrange(self._count))
        if self._chance.random() < 0.5:
            shutil.rmtree(self._index, ignore_errors=True)
            shutil.copytree(copy, self._index)
        else:
            with contextlib.suppress(FileNotFoundError):  # no index to write over
                for path in copy.iterdir():
                    shutil.copyfile(path, self._index / path.name)
        return True
