"""Builds the programs around the references' crates, and says where they are.

    tests/reference/build_reference.py [verdant] [linesmith]

Needs cargo 1.91 or later and, the first time, a network. Without them it prints `not available:
why` and ends with status 3, and who imports it gets NotAvailableError: the references are there to
compare with, the library does not need them. A program that does not compile is an error.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = Path(__file__).resolve().parent
TARGET = REPOSITORY / "build" / "reference"
NAMES = ("verdant", "linesmith")
OLDEST_CARGO = (1, 91)
NOT_AVAILABLE = 3


class NotAvailableError(Exception):
    """There is no reference on this machine; says why."""


class BuildError(Exception):
    """There could be one, but it does not compile."""


def _places() -> Iterator[str]:
    """Where a cargo may be, the likeliest first."""
    for given in (os.environ.get("CARGO"), shutil.which("cargo")):
        if given:
            yield given
    home = Path.home()
    yield str(home / ".cargo" / "bin" / "cargo")
    for toolchain in sorted((home / ".rustup" / "toolchains").glob("*/bin/cargo"), reverse=True):
        yield str(toolchain)


def _version(cargo: str) -> tuple[tuple[int, int], str] | None:
    """Its version and the platform it builds for; nothing if it does not run."""
    try:
        done = subprocess.run(
            [cargo, "-vV"], check=False, capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    release = re.search(r"^release: (\d+)\.(\d+)", done.stdout, re.MULTILINE)
    host = re.search(r"^host: (\S+)", done.stdout, re.MULTILINE)
    if done.returncode != 0 or not release or not host:
        return None
    return (int(release[1]), int(release[2])), host[1]


def find_cargo() -> tuple[str, str]:
    """A cargo that is new enough, and its platform."""
    wanted = ".".join(map(str, OLDEST_CARGO))
    too_old = ""
    for cargo in _places():
        version = _version(cargo)
        if version and version[0] >= OLDEST_CARGO:
            return cargo, version[1]
        if version:
            number = ".".join(map(str, version[0]))
            too_old = too_old or f"{cargo} is {number}, the references need {wanted}"
    raise NotAvailableError(too_old or f"there is no cargo (it takes {wanted} or later)")


def _run(cargo: str, name: str, *arguments: str) -> tuple[int, str]:
    """Runs cargo over `name`, passes on what it says; its status and the last of what it said."""
    environment = {"CARGO_NET_RETRY": "1", "CARGO_HTTP_TIMEOUT": "30", **os.environ}
    # Each caller's own settings would build another program, or elsewhere.
    for variable in ("CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "RUSTFLAGS"):
        environment.pop(variable, None)
    process = subprocess.Popen(
        [cargo, *arguments, "--locked", "--manifest-path", str(SOURCES / name / "Cargo.toml")],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    )
    said = []
    assert process.stderr is not None
    for line in process.stderr:
        sys.stderr.write(line)
        said.append(line)
    return process.wait(), "".join(said[-12:]).strip()


def build(name: str = "verdant") -> Path:
    """The program of that name, built if need be. Raises NotAvailableError or BuildError."""
    variable = f"SATCHEL_REFERENCE_{name.upper()}"
    given = os.environ.get(variable)
    if given:
        if not os.access(given, os.X_OK):
            raise BuildError(f"{variable} is {given}, which is no program")
        return Path(given)
    cargo, platform = find_cargo()
    status, said = _run(cargo, name, "fetch", "--target", platform)
    if "--locked" in said:
        raise BuildError(said)  # Cargo.lock does not fit Cargo.toml: our mistake
    if status != 0:
        raise NotAvailableError(f"its crates cannot be fetched: {said.splitlines()[-1].strip()}")
    status, said = _run(cargo, name, "build", "--release", "--offline", "--target-dir", str(TARGET))
    if status != 0:
        raise BuildError(said)
    return TARGET / "release" / f"{name}-reference"


def main() -> int:
    names = sys.argv[1:] or NAMES
    if unknown := sorted(set(names) - set(NAMES)):
        print(f"build_reference: there is no {unknown[0]}, but {' and '.join(NAMES)}")
        return 2
    try:
        for name in names:
            print(build(name), flush=True)
    except NotAvailableError as why:
        print(f"not available: {why}")
        return NOT_AVAILABLE
    except BuildError as why:
        print(f"build_reference: {why}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
