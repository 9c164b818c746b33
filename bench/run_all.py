"""Runs every benchmark and prints the rows of all of them: name, target, figure, verdict.

    bench/run_all.py [--quick]

Figures depend on the machine and on what else it does; each program measures its limit in the same
run. A missed target is shown and is no failure; a program that cannot run is one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = [
    [str(ROOT / "build" / "release" / "bench" / name)]
    for name in ("bench_prompt", "bench_index", "bench_sse")
] + [
    [sys.executable, str(ROOT / "bench" / "bench_demo_host.py")],
    [sys.executable, str(ROOT / "bench" / "bench_python.py")],
    [sys.executable, str(ROOT / "bench" / "bench_tool_cache.py")],
    [sys.executable, str(ROOT / "bench" / "bench_cascade.py")],
    [sys.executable, str(ROOT / "bench" / "bench_fleet.py")],
]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, rougher figures")
    quick = ["--quick"] if parser.parse_args().quick else []
    failed = []
    for program in PROGRAMS:
        name = Path(program[-1]).stem
        print(f"\n{name}", flush=True)
        if subprocess.run([*program, *quick], check=False).returncode != 0:
            failed.append(name)
    if failed:
        print(f"could not run: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
