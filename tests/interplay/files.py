"""The workspace that the results depend on: files, folders and links, what is done to them, and
what their fingerprints are by the specification.
"""

from __future__ import annotations

import contextlib
import functools
import mmap
import os
import random
import shutil
from pathlib import Path
from typing import Callable

FILES = (
    "a.txt",
    "b.txt",
    "README.md",
    "src/lib.rs",
    "src/main.rs",
    "src/deep/x.c",
    "src/Ünï cödé.txt",
    "src/deep/ΟΔΟΣ",
    "../outside/o.txt",
)
FOLDERS = ("src", "src/deep", "../outside", ".")
LINKS = {"link.txt": ("a.txt", "b.txt", "src/lib.rs"), "dirlink": ("src", "src/deep")}
EARLIER_NS = 1_700_000_000_000_000_000


class Workspace:
    """A directory, and files beside it."""

    def __init__(self, path: Path, chance: random.Random, hash_of: Callable[[bytes], str]) -> None:
        self.path = path
        self._chance = chance
        self._hash_of = functools.cache(hash_of)
        path.mkdir()
        for name in FILES:
            self._write(name)
        for name, targets in LINKS.items():
            (path / name).symlink_to(targets[0])

    # ------------------------------------------------------------ what they are

    def fingerprint(self, path: str, form: str) -> str | None:
        """Of a path as a root has it; nothing where there is none to be had."""
        whole = os.path.join(self.path, path)
        try:
            if form == "directory":
                names = sorted(os.listdir(os.fsencode(whole)))
                framed = b"".join(len(name).to_bytes(8, "little") + name for name in names)
                return "dir:" + self._hash_of(framed)
            if form == "stat":
                status = os.stat(whole)
                seconds, nanoseconds = divmod(status.st_mtime_ns, 1_000_000_000)
                return f"stat:{status.st_size}:{seconds}:{nanoseconds}"
            return self._hash_of(Path(whole).read_bytes())
        except OSError:
            return None

    def is_fresh(self, path: str, expected: str) -> bool:
        if expected.startswith("dir:"):
            return self.fingerprint(path, "directory") == expected
        if expected.startswith("stat:"):
            return self.fingerprint(path, "stat") == expected
        return self.fingerprint(path, "content") == expected

    def canonical(self, path: str) -> str | None:
        """Absolute and without links; nothing if it does not exist."""
        try:
            return os.path.realpath(os.path.join(self.path, path), strict=True)
        except OSError:
            return None

    # ------------------------------------------------------------- ways to say it

    def any_path(self) -> tuple[str, str]:
        """A path in one of its spellings, and the form of fingerprint that suits it."""
        form = self._chance.choice(("content", "content", "content", "stat", "directory"))
        if form == "directory":
            return self._spelled(self._chance.choice(FOLDERS)), form
        name = self._chance.choice(("link.txt", "dirlink/lib.rs", *FILES))
        if form == "stat" and self._chance.random() < 0.2:
            name = self._chance.choice(FOLDERS)
        return self._spelled(name), form

    def _spelled(self, name: str) -> str:
        spellings = (name, name, f"./{name}", f"src/../{name}", str(self.path / name))
        return self._chance.choice(spellings)

    def any_absolute_path(self) -> str:
        """As an editor would say which file it wrote, not always in the case it has."""
        path = f"{self.path}/{self.any_path()[0].replace(str(self.path) + '/', '')}"
        if self._chance.random() < 0.3:
            head, tail = str(self.path), path[len(str(self.path)) :]
            return head + self._chance.choice((tail.upper(), tail.lower(), tail.swapcase()))
        return path

    # ----------------------------------------------------------- what is done to them

    def change(self) -> str:
        """Does one thing to one of them, and says what."""
        ways = (
            *[self._write] * 4,
            self._replace,
            self._write_and_set_back,
            self._write_through_mapping,
            self._delete,
            self._swap,
            self._rename_over,
            self._touch,
        )
        if self._chance.random() < 0.15:
            return self._chance.choice((self._relink, self._more_or_less_in_folder))()
        way = self._chance.choice(ways)
        name = self._chance.choice(FILES)
        with contextlib.suppress(FileNotFoundError):
            way(name)
        return f"{way.__name__.strip('_')} {name}"

    def _text(self) -> bytes:
        """Few texts, most of one size: nothing but the content tells them apart."""
        text = b"version %d\n" % self._chance.randrange(4)
        return text * self._chance.choice((1, 1, 1, 1, 7000))

    def _write(self, name: str) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._text())

    def _replace(self, name: str) -> None:
        path = self.path / name
        other = self.path.parent / "being-written"
        other.write_bytes(self._text())
        path.parent.mkdir(parents=True, exist_ok=True)
        other.rename(path)

    def _write_and_set_back(self, name: str) -> None:
        """Same size, same mtime: only the ctime tells."""
        path = self.path / name
        before = path.stat().st_mtime_ns if self._chance.random() < 0.5 else EARLIER_NS
        path.write_bytes(self._text())
        os.utime(path, ns=(before, before))

    def _write_through_mapping(self, name: str) -> None:
        text = self._text()
        with (self.path / name).open("r+b") as file:
            file.truncate(len(text))
            with mmap.mmap(file.fileno(), len(text)) as mapping:
                mapping[:] = text

    def _delete(self, name: str) -> None:
        if name.startswith("src") and self._chance.random() < 0.1:
            shutil.rmtree(self.path / "src")
        else:
            (self.path / name).unlink()

    def _swap(self, name: str) -> None:
        """Both inodes stay as they are, under other names."""
        one, two = self.path / name, self.path / self._chance.choice(FILES)
        aside = self.path.parent / "aside"
        if one != two and two.exists():
            one.rename(aside)
            two.rename(one)
            aside.rename(two)

    def _rename_over(self, name: str) -> None:
        """What was here before has another inode, older times and perhaps the same size."""
        other = self.path / self._chance.choice(FILES)
        if other.parent.is_dir():
            (self.path / name).rename(other)

    def _touch(self, name: str) -> None:
        os.utime(self.path / name)

    def _relink(self) -> str:
        name = self._chance.choice(list(LINKS))
        target = self._chance.choice(LINKS[name])
        (self.path / name).unlink()
        (self.path / name).symlink_to(target)
        return f"relink {name} to {target}"

    def _more_or_less_in_folder(self) -> str:
        path = self.path / self._chance.choice(FOLDERS) / self._chance.choice(("new", "newer"))
        if path.exists():
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return f"made or removed {path}"
