#!/usr/bin/env python3
"""Runs test suites one after the other, shows progress, and ends with `N passed, M failed`.

What a step prints goes to build/test-logs/; of a step that fails the end is shown. The tests that
CTest and pytest ran are counted one by one, every other step as one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

REPOSITORY = Path(__file__).resolve().parents[1]
LOGS = REPOSITORY / "build" / "test-logs"
LINES_OF_A_FAILURE = 80
PYTHON_SOURCES = ["python", "tests", "demo", "bench", "scripts"]
TYPED_SOURCES = [
    "python/satchel",
    "demo",
    "tests/e2e",
    "tests/abi/contract.py",
    "tests/docs",
    "tests/reference",
    "bench",
    "scripts/run_tests.py",
    "scripts/tidy.py",
]
SANITIZERS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


@dataclass
class Run:
    """What ran so far."""

    jobs: int
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)

    def step(self, name: str, command: list[str], report: Path | None = None) -> bool:
        """Runs one command. With a report, its tests are counted instead of the command."""
        print(f"{name} ...", flush=True)
        log = LOGS / f"{name.replace(' ', '-')}.log"
        start = time.monotonic()
        with log.open("w", encoding="utf-8") as output:
            done = subprocess.run(
                command,
                check=False,
                cwd=REPOSITORY,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**SANITIZERS, **os.environ},
            )
        seconds = time.monotonic() - start
        passed, failed, skipped = counted(report) if report else (0, 0, 0)
        if done.returncode != 0 and failed == 0:
            failed = 1  # it broke in another way than by a failing test
        if done.returncode == 0 and report is None:
            passed = 1
        self.passed += passed
        self.failed += failed
        self.skipped += skipped
        ok = failed == 0
        numbers = f", {passed} passed" + (f", {skipped} skipped" if skipped else "")
        verdict = "ok" if ok else f"{failed} FAILED"
        print(f"{name}: {verdict}{numbers if report else ''} ({seconds:.0f} s)", flush=True)
        if not ok:
            self.failures.append(f"{name}: {log.relative_to(REPOSITORY)}")
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            print("\n".join(f"  | {line}" for line in lines[-LINES_OF_A_FAILURE:]), flush=True)
        return ok

    def pytest(self, name: str, *arguments: str) -> None:
        """Runs pytest over a folder."""
        report = LOGS / f"{name}.xml"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *arguments]
        self.step(name, command, report)

    def preset(self, name: str) -> None:
        """Configures, builds and tests one preset."""
        build = ["cmake", "--build", "--preset", name, "-j", str(self.jobs)]
        if not self.step(f"{name} configure", ["cmake", "--preset", name]):
            return
        if not self.step(f"{name} build", build):
            return
        report = LOGS / f"{name}.xml"
        report.unlink(missing_ok=True)
        command = ["ctest", "--preset", name, "-j", str(self.jobs), "--output-junit", str(report)]
        self.step(f"{name} tests", command, report)


def counted(report: Path) -> tuple[int, int, int]:
    """Tests passed, failed and skipped, of a JUnit file by CTest or pytest."""
    if not report.exists():
        return 0, 0, 0
    root = xml.etree.ElementTree.parse(report).getroot()
    suites = [root] if root.tag == "testsuite" else list(root.iter("testsuite"))

    def total(name: str) -> int:
        return sum(int(suite.get(name) or 0) for suite in suites)

    failed = total("failures") + total("errors")
    skipped = total("skipped") + total("disabled")
    return total("tests") - failed - skipped, failed, skipped


def lint(run: Run) -> None:
    """Formats, Python's rules and types."""
    sources = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.c", "*.cpp", "*.hpp", "*.h"],
        check=True,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    ).stdout.split()
    ruff = [sys.executable, "-m", "ruff"]
    run.step("lint clang-format", ["clang-format", "--dry-run", "-Werror", *sources])
    run.step("lint ruff", [*ruff, "check", *PYTHON_SOURCES])
    run.step("lint ruff-format", [*ruff, "format", "--check", *PYTHON_SOURCES])
    run.step("lint mypy", [sys.executable, "-m", "mypy", "--strict", *TYPED_SOURCES])
    if shutil.which("shellcheck"):
        shell = ["scripts/deps", "scripts/fuzz", ".ci/run", "tests/abi/installed.sh"]
        run.step("lint shellcheck", ["shellcheck", *shell])


def tidy(run: Run) -> None:
    """What clang-tidy finds."""
    run.step("tidy", [sys.executable, "scripts/tidy.py", "--jobs", str(run.jobs)])


def python(run: Run) -> None:
    """The Python package as it is installed."""
    if run.step("python install", ["make", "--no-print-directory", "python"]):
        run.pytest("python", "tests/python")


SUITES: dict[str, Callable[[Run], None]] = {
    "lint": lint,
    "release": lambda run: run.preset("release"),
    "python": python,
    "interplay": lambda run: run.pytest("interplay", "tests/interplay"),
    "e2e": lambda run: run.pytest("e2e", "tests/e2e"),
    "docs": lambda run: run.pytest("docs", "tests/docs"),
    "asan": lambda run: run.preset("asan"),
    "tsan": lambda run: run.preset("tsan"),
    "fuzz": lambda run: run.preset("fuzz"),
    "tidy": tidy,
}

# The others take long on a small machine: `make tsan`, `make lint`.
BY_DEFAULT = [name for name in SUITES if name not in {"tsan", "tidy"}]


def main() -> int:
    """Runs the suites named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "suites", nargs="*", help=f"of {', '.join(SUITES)}; default: all but tsan and tidy"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.suites) - set(SUITES)
    if unknown:
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    LOGS.mkdir(parents=True, exist_ok=True)
    run = Run(arguments.jobs)
    start = time.monotonic()
    for name in arguments.suites or BY_DEFAULT:
        SUITES[name](run)
    print(f"\n{time.monotonic() - start:.0f} s in all, {run.skipped} skipped")
    for failure in run.failures:
        print(f"FAILED {failure}")
    print(f"{run.passed} passed, {run.failed} failed", flush=True)
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
