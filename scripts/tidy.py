#!/usr/bin/env python3
"""Runs clang-tidy over the library, the demo host and the Python module's sources.

A file found clean is remembered in build/tidy by the hash of all that the answer depends on, so
that a second run looks only at what changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
BUILD = REPOSITORY / "build" / "tidy"
FOLDERS = ["impl", "abi", "bindings/demo_host"]


def configure() -> list[dict[str, str]]:
    """The commands of a build by clang, which nobody needs to build."""
    log = subprocess.run(
        ["cmake", "--preset", "tidy"], check=False, cwd=REPOSITORY, capture_output=True, text=True
    )
    if log.returncode != 0:
        raise SystemExit(log.stdout + log.stderr)
    commands: list[dict[str, str]] = json.loads((BUILD / "compile_commands.json").read_text())
    roots = [REPOSITORY / folder for folder in FOLDERS]
    return [entry for entry in commands if any(r in Path(entry["file"]).parents for r in roots)]


def common_hash() -> bytes:
    """Of what every file's answer depends on: headers, checks, the tool."""
    digest = hashlib.sha256()
    headers = [p for folder in [*FOLDERS, "include"] for p in (REPOSITORY / folder).rglob("*.h*")]
    for path in [REPOSITORY / ".clang-tidy", *sorted(headers)]:
        digest.update(path.read_bytes())
    version = subprocess.run(["clang-tidy", "--version"], check=True, capture_output=True)
    digest.update(version.stdout)
    return digest.digest()


def check(entry: dict[str, str], common: bytes) -> str:
    """What is wrong with one file; empty when nothing is."""
    source = Path(entry["file"])
    key = hashlib.sha256(common + entry["command"].encode() + source.read_bytes()).hexdigest()
    stamp = BUILD / "clean" / key
    name = source.relative_to(REPOSITORY)
    if stamp.exists():
        return ""
    command = ["clang-tidy", "--quiet", "--warnings-as-errors=*", "-p", str(BUILD), str(source)]
    done = subprocess.run(command, check=False, cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode == 0:
        stamp.parent.mkdir(exist_ok=True)
        stamp.touch()
        print(f"{name}: clean", flush=True)
        return ""
    return done.stdout or done.stderr


def main() -> int:
    """Checks every file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    commands = configure()
    common = common_hash()
    with ThreadPoolExecutor(arguments.jobs) as pool:
        problems = list(filter(None, pool.map(lambda entry: check(entry, common), commands)))
    print("\n".join(problems) if problems else f"{len(commands)} files clean")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
