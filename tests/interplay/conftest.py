"""Starts the reference and the library, each in processes of its own."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reference"))

from build_reference import NotAvailableError, build
from peer import Peer
from usage_peer import UsagePeer

HERE = Path(__file__).resolve().parent
LIBRARY = [sys.executable, str(HERE / "satchel_peer.py")]
USAGE_LIBRARY = [sys.executable, str(HERE / "satchel_usage_peer.py")]


@pytest.fixture(scope="session")
def reference_program() -> Path:
    try:
        return build()
    except NotAvailableError as why:
        pytest.skip(f"the reference is not available: {why}")


def running(name: str, command: list[str], directory: Path) -> Iterator[Peer]:
    """In an empty working directory, so that no relative path is found by chance."""
    directory.mkdir()
    peer = Peer(name, command, cwd=directory)
    yield peer
    assert peer.stop() == 0


@pytest.fixture
def reference(reference_program: Path, tmp_path: Path) -> Iterator[Peer]:
    yield from running("reference", [str(reference_program)], tmp_path / "cwd-reference")


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Peer]:
    yield from running("library", LIBRARY, tmp_path / "cwd-library")


@pytest.fixture
def second_library(tmp_path: Path) -> Iterator[Peer]:
    yield from running("second library", LIBRARY, tmp_path / "cwd-second")


@pytest.fixture
def fresh_library(tmp_path: Path) -> Iterator[Peer]:
    """The process in which caches are opened to be asked once."""
    yield from running("fresh library", LIBRARY, tmp_path / "cwd-fresh")


@pytest.fixture(params=["reference", "library"])
def either(request: pytest.FixtureRequest) -> Peer:
    peer = request.getfixturevalue(request.param)
    assert isinstance(peer, Peer)
    return peer


# ---------------------------------------------------------------------------- the usage cascade


@pytest.fixture(scope="session")
def usage_reference_program() -> Path:
    try:
        return build("linesmith")
    except NotAvailableError as why:
        pytest.skip(f"the reference is not available: {why}")


def resolving(name: str, command: list[str], directory: Path) -> Iterator[UsagePeer]:
    peer = UsagePeer(name, command, cwd=directory)
    yield peer
    assert peer.stop() == 0


@pytest.fixture
def quick_dir() -> Iterator[Path]:
    """In memory, where there is such a place: both write to the disk before they go on."""
    memory = "/dev/shm"
    place = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def usage_reference(
    usage_reference_program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[UsagePeer]:
    """Like the library's, it knows nothing from one command to the next but what is in files."""
    command = [str(usage_reference_program)]
    yield from resolving("linesmith", command, tmp_path_factory.mktemp("cwd-linesmith"))


@pytest.fixture(scope="module")
def usage_library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UsagePeer]:
    yield from resolving("library", USAGE_LIBRARY, tmp_path_factory.mktemp("cwd-library"))
