"""Whatever becomes of the index on disk: requests go on, the log says why, and it recovers."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
from asking import ask
from hosts import Host, StartHost, eventually
from prompts import Counts, conversation

SEEDS = (f"prompt {number}" for number in itertools.count())
NOBODY = 65534

Damage = Callable[[Path], None]
Json = Any


def goes_on(host: Host, seed: str = "a") -> Counts:
    """A request is answered, and its counts are those of no caching, a creation or a read."""
    found = ask(host.client(), conversation(seed), stream=True).counts
    possible = [Counts(), Counts(read=2100), Counts(created_1h=2000, created_5m=100)]
    assert found in possible
    return found


def caches(host: Host) -> bool:
    """Whether a new prompt is written, and read the second time."""
    seed, before = next(SEEDS), host.index()
    if goes_on(host, seed).created == 0:
        return False
    eventually(lambda: tried(before, host.index()), "a commit is written or dropped")
    after = host.index()
    return after["entries_written"] > before["entries_written"] and goes_on(host, seed).read == 2100


def tried(before: Json, after: Json) -> bool:
    names = ("entries_written", "entries_dropped")
    return bool(after["entries_waiting"] == 0 or any(after[name] > before[name] for name in names))


def recovers(*hosts: Host) -> None:
    """Asks all of them, for a process that nobody asks notices nothing."""

    def recovered() -> bool:
        found = [caches(host) for host in hosts]
        return all(found)

    eventually(recovered, "the index works again")


def asked_until_logged(host: Host, what: str) -> None:
    """Goes on asking new questions until the log speaks of the index."""

    def logged() -> bool:
        goes_on(host, next(SEEDS))
        return "index" in host.log()

    eventually(logged, f"the log says that {what}")


def deleted(index: Path) -> None:
    shutil.rmtree(index)


def replaced_by_a_file(index: Path) -> None:
    shutil.rmtree(index)
    index.write_text("no directory")


def emptied(index: Path) -> None:
    for file in index.iterdir():
        file.unlink()


def overwritten_in_place(index: Path) -> None:
    for file in index.iterdir():
        with file.open("r+b") as out:
            out.write(random.Random(1).randbytes(file.stat().st_size))


def overwritten_anew(index: Path) -> None:
    for file in index.iterdir():
        file.write_bytes(b"this is no database" * 1000)


def overwritten_with_less(index: Path) -> None:
    for file in index.iterdir():
        file.write_bytes(b"garbage")


def truncated(index: Path) -> None:
    for file in index.iterdir():
        os.truncate(file, 0)


def cut_in_half(index: Path) -> None:
    for file in index.iterdir():
        os.truncate(file, file.stat().st_size // 2)


def swapped_for_garbage(index: Path) -> None:
    for file in list(index.iterdir()):
        other = index / "other"
        other.write_bytes(random.Random(2).randbytes(8192))
        other.rename(file)


def swapped_for_directories(index: Path) -> None:
    for file in list(index.iterdir()):
        file.unlink()
        (file / "inside").mkdir(parents=True)


DAMAGES = [
    deleted,
    emptied,
    overwritten_in_place,
    overwritten_anew,
    overwritten_with_less,
    truncated,
    cut_in_half,
    swapped_for_garbage,
]
OBSTACLES = [replaced_by_a_file, swapped_for_directories]


@pytest.mark.parametrize("damage", DAMAGES)
def test_requests_go_on_and_the_index_recovers(
    start_host: StartHost, tmp_path: Path, damage: Damage
) -> None:
    index = tmp_path / "index"
    host = start_host(index)
    assert caches(host)
    assert "index" not in host.log()
    damage(index)
    for _ in range(3):
        goes_on(host)
    asked_until_logged(host, f"the index was {damage.__name__}")
    recovers(host)
    assert caches(start_host(index))


@pytest.mark.parametrize("damage", OBSTACLES)
def test_requests_go_on_while_something_is_in_the_way(
    start_host: StartHost, tmp_path: Path, damage: Damage
) -> None:
    index = tmp_path / "index"
    host = start_host(index)
    assert caches(host)
    damage(index)
    asked_until_logged(host, f"the index was {damage.__name__}")
    if index.is_dir():
        deleted(index)
    else:
        index.unlink()
    recovers(host)


@pytest.mark.parametrize("damage", [*DAMAGES, *OBSTACLES])
def test_a_host_starts_on_a_damaged_index(
    start_host: StartHost, tmp_path: Path, damage: Damage
) -> None:
    index = tmp_path / "index"
    first = start_host(index)
    assert caches(first)
    first.stop()
    damage(index)
    host = start_host(index)
    goes_on(host)
    if damage in OBSTACLES:
        assert goes_on(host) == Counts()
        assert "index" in host.log()
        shutil.rmtree(index) if index.is_dir() else index.unlink()
    recovers(host)


def test_two_processes_recover_together(start_host: StartHost, tmp_path: Path) -> None:
    index = tmp_path / "index"
    hosts = [start_host(index), start_host(index)]
    for damage in DAMAGES:
        damage(index)
        recovers(*hosts)

        def shared() -> bool:
            seed = next(SEEDS)
            goes_on(hosts[0], seed)
            hosts[0].settled_index()
            return goes_on(hosts[1], seed).read == 2100

        eventually(shared, f"both use one index again after it was {damage.__name__}")


def test_requests_go_on_while_the_files_are_damaged_again_and_again(
    start_host: StartHost, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    host = start_host(index)
    assert caches(host)
    asking = threading.Event()
    wrong: list[BaseException] = []

    def ask_on() -> None:
        try:
            while not asking.is_set():
                goes_on(host, next(SEEDS))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=ask_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        for damage in DAMAGES:
            with contextlib.suppress(OSError):  # a file that the host removed meanwhile
                damage(index)
            goes_on(host)
    asking.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    recovers(host)


# ------------------------------------------------- what only the system can do


@pytest.fixture
def tmpfs() -> Iterator[Callable[..., Path]]:
    """Mounts small file systems; needs to be root."""
    mounted: list[Path] = []

    def mount(path: Path, options: str) -> Path:
        path.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("there is no mount program")
        if done.returncode != 0:
            pytest.skip(f"mounting a tmpfs needs root: {done.stderr.strip()}")
        mounted.append(path)
        return path

    yield mount
    for path in reversed(mounted):
        subprocess.run(["umount", "-l", str(path)], capture_output=True, check=False)


def fill(directory: Path) -> Path:
    """Leaves no byte free."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(b"x" * 4096)
    return filler


def test_a_full_disk_costs_entries_and_no_request(
    start_host: StartHost, tmp_path: Path, tmpfs: Callable[..., Path]
) -> None:
    disk = tmpfs(tmp_path / "disk", "size=8m")
    host = start_host(disk / "index", config={"commit_deadline_ms": 1000})
    assert caches(host)
    filler = fill(disk)
    asked_until_logged(host, "the disk is full")
    eventually(lambda: host.index()["entries_dropped"] > 0, "what cannot be written is dropped")
    filler.unlink()
    recovers(host)


def test_a_disk_that_is_full_from_the_start(
    start_host: StartHost, tmp_path: Path, tmpfs: Callable[..., Path]
) -> None:
    disk = tmpfs(tmp_path / "disk", "size=1m")
    filler = fill(disk)
    host = start_host(disk / "index")
    asked_until_logged(host, "the disk is full")
    assert goes_on(host) == Counts()
    filler.unlink()
    recovers(host)


def test_a_read_only_file_system_over_the_index(
    start_host: StartHost, tmp_path: Path, tmpfs: Callable[..., Path]
) -> None:
    index = tmp_path / "index"
    host = start_host(index)
    assert caches(host)
    tmpfs(index, "ro,size=64k")
    asked_until_logged(host, "the index cannot be written")
    assert goes_on(host) == Counts()
    subprocess.run(["umount", "-l", str(index)], check=True)
    recovers(host)


@pytest.fixture
def unprivileged(
    demo_host: Path, library: Path, start_host: StartHost
) -> Iterator[tuple[Callable[[Path], Host], Path]]:
    """Starts hosts as a user whom permissions bind, and a directory of that user's."""
    place = Path(tempfile.mkdtemp(prefix="satchel-e2e-"))
    place.chmod(0o755)
    program = Path(shutil.copy(demo_host, place))
    shared_object = Path(shutil.copy(library, place))
    is_root = os.getuid() == 0
    own = place / "own"
    own.mkdir()
    if is_root:
        os.chown(own, NOBODY, NOBODY)

    def start(index: Path) -> Host:
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if is_root else {}
        return start_host(index, program=program, library=shared_object, cwd=place, **who)

    yield start, own
    for path in [own, *own.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(place)


def lock(index: Path) -> None:
    """Takes the right to write from the directory and its files."""
    for file in index.iterdir():
        file.chmod(0o444)
    index.chmod(0o555)


def unlock(index: Path) -> None:
    index.chmod(0o755)
    for file in index.iterdir():
        file.chmod(0o644)


def test_an_index_that_may_not_be_written(
    unprivileged: tuple[Callable[[Path], Host], Path],
) -> None:
    start, own = unprivileged
    host = start(own / "index")
    assert caches(host)
    lock(own / "index")
    for _ in range(3):  # files that are open stay writable: this one need not notice
        goes_on(host, next(SEEDS))
    second = start(own / "index")
    asked_until_logged(second, "the index may not be written")
    assert goes_on(second) == Counts()
    unlock(own / "index")
    recovers(second)
    recovers(host)


def test_a_directory_that_may_not_be_made(
    unprivileged: tuple[Callable[[Path], Host], Path],
) -> None:
    start, own = unprivileged
    own.chmod(0o555)
    host = start(own / "index")
    asked_until_logged(host, "the directory may not be made")
    assert goes_on(host) == Counts()
    own.chmod(0o755)
    recovers(host)


def test_a_database_that_belongs_to_somebody_else_is_left_alone(
    start_host: StartHost, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    first = start_host(index)
    assert caches(first)
    first.stop()
    names = sorted(file.name for file in index.iterdir())
    notes = index / "notes.txt"
    notes.write_text("mine")
    overwritten_anew(index)
    notes.write_text("mine")
    host = start_host(index)
    recovers(host)
    assert notes.read_text() == "mine"
    assert set(names) <= {file.name for file in index.iterdir()}
