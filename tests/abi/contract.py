#!/usr/bin/env python3
"""Compares satchel.h, the built library and the recorded ABI.

symbols    every function of the header is exported, with its version, and nothing else is
fork       nothing is made lazily in a way that a fork in between breaks (core/process_wide.hpp)
calls      a program calls every function of the header
baseline   signatures, struct layouts, enum numbers and symbols are those of baseline.txt
update     writes baseline.txt
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
INCLUDE = HERE.parent.parent / "include"
HEADER = INCLUDE / "satchel" / "satchel.h"
BASELINE = HERE / "baseline.txt"


@dataclass
class Contract:
    """What the header declares, in its order."""

    functions: dict[str, str] = field(default_factory=dict)
    structs: dict[str, dict[str, str]] = field(default_factory=dict)
    constants: list[str] = field(default_factory=list)
    opaque: list[str] = field(default_factory=list)


def read_header() -> Contract:
    text = re.sub(r"/\*.*?\*/", " ", HEADER.read_text(encoding="utf-8"), flags=re.S)
    text = re.sub(r"^\s*#.*?(?<!\\)$", " ", text, flags=re.S | re.M)
    text = re.sub(r"\s+", " ", text)
    # One spelling, so that a baseline does not depend on the formatter.
    text = re.sub(r" ?(\*+) ?", r" \1", text).replace("( *", "(*")
    contract = Contract()
    for declaration in re.findall(r"SATCHEL_API ([^;]+);", text):
        name = re.search(r"(satchel_\w+) ?\(", declaration)
        if name is None:
            raise SystemExit(f"{HEADER}: cannot read the declaration: {declaration}")
        contract.functions[name.group(1)] = declaration.strip()
    for body, name in re.findall(r"typedef struct \w+ \{(.*?)\} (\w+);", text):
        contract.structs[name] = dict(map(split_member, filter(str.strip, body.split(";"))))
    for body in re.findall(r"enum \{(.*?)\}", text):
        contract.constants += [item.split("=")[0].strip() for item in body.split(",")]
    contract.opaque = re.findall(r"typedef struct (\w+) \1;", text)
    return contract


def split_member(declaration: str) -> tuple[str, str]:
    """("len", "size_t") of "size_t len"; a function pointer's name stands in the middle."""
    declaration = declaration.strip()
    pattern = r"\(\*(\w+)\)" if "(*" in declaration else r"(\w+)(?:\[\d+\])?$"
    name = re.search(pattern, declaration)
    if name is None:
        raise SystemExit(f"{HEADER}: cannot read the member: {declaration}")
    return name.group(1), declaration


def measure(contract: Contract) -> list[str]:
    """Asks the compiler for sizes, offsets and numbers."""
    rows = ['printf("abi %d\\n", SATCHEL_ABI_VERSION);']
    for name, members in contract.structs.items():
        rows.append(f'printf("struct {name}: %zu bytes\\n", sizeof({name}));')
        for member, declaration in members.items():
            rows.append(
                f'printf("member {name}.{member}: %zu+%zu  {declaration}\\n", '
                f"offsetof({name}, {member}), sizeof((({name} *)0)->{member}));"
            )
    rows += [f'printf("constant {name} = %d\\n", (int){name});' for name in contract.constants]
    body = "\n  ".join(rows)
    program = f"#include <satchel/satchel.h>\n#include <stdio.h>\nint main(void) {{\n  {body}\n}}\n"
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "measure.c")
        source.write_text(program, encoding="utf-8")
        binary = Path(directory, "measure")
        subprocess.run(["cc", "-std=c99", "-I", INCLUDE, source, "-o", binary], check=True)
        return subprocess.run(
            [binary], check=True, capture_output=True, text=True
        ).stdout.splitlines()


def exported(library: Path) -> dict[str, str]:
    """Dynamic symbols that the library defines, each with its version."""
    listing = subprocess.run(
        ["nm", "--dynamic", "--defined-only", "--with-symbol-versions", library],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    symbols = {}
    for line in listing.splitlines():
        _, kind, name = line.split(maxsplit=2)
        name, _, version = name.partition("@@")
        if kind != "A":  # the version node itself
            symbols[name] = version
    return symbols


def describe(contract: Contract, library: Path) -> list[str]:
    lines = measure(contract)
    lines += [f"handle {name}" for name in contract.opaque]
    lines += [f"function {declaration}" for declaration in contract.functions.values()]
    lines += [f"symbol {name}@{version}" for name, version in sorted(exported(library).items())]
    return lines


def check_symbols(contract: Contract, library: Path) -> list[str]:
    declared, visible = set(contract.functions), exported(library)
    problems = [f"declared, not exported: {name}" for name in sorted(declared - set(visible))]
    problems += [f"exported, not declared: {name}" for name in sorted(set(visible) - declared)]
    problems += [f"without a version: {name}" for name, version in visible.items() if not version]
    return problems


def imported(file: Path) -> set[str]:
    """Dynamic symbols that a library or program takes from others."""
    listing = subprocess.run(
        ["nm", "--dynamic", "--undefined-only", file], check=True, capture_output=True, text=True
    ).stdout
    return {line.split()[-1].partition("@")[0] for line in listing.splitlines()}


def check_fork(_contract: Contract, library: Path) -> list[str]:
    """Statics inside functions, and std::call_once, show in what the library imports."""
    unsafe = sorted(imported(library) & {"__cxa_guard_acquire", "pthread_once", "__once_proxy"})
    return [f"would hang in a child forked meanwhile: {name}" for name in unsafe]


def check_calls(contract: Contract, program: Path) -> list[str]:
    """A program that says it uses everything leaves no function out."""
    missing = sorted(set(contract.functions) - imported(program))
    return [f"not called by {program.name}: {name}" for name in missing]


def check_baseline(contract: Contract, library: Path) -> list[str]:
    recorded = BASELINE.read_text(encoding="utf-8").splitlines()
    now = describe(contract, library)
    gone = [line for line in recorded if line not in now]
    new = [line for line in now if line not in recorded]
    if not gone and not new and recorded == now:
        return []
    problems = [f"- {line}" for line in gone] + [f"+ {line}" for line in new]
    problems.append(
        "A removed or changed line breaks programs already compiled. Lines added at a struct's\n"
        "end (with its size) or as new functions are fine: raise SATCHEL_ABI_VERSION, give the\n"
        "new symbols a version node of their own, and record it with\n"
        f"  tests/abi/contract.py update {library}"
    )
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("action", choices=["symbols", "fork", "calls", "baseline", "update"])
    parser.add_argument("file", type=Path, help="libsatchel.so; for `calls`, the program")
    arguments = parser.parse_args()
    contract = read_header()
    if arguments.action == "update":
        lines = describe(contract, arguments.file)
        BASELINE.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return 0
    checks = {
        "symbols": check_symbols,
        "fork": check_fork,
        "calls": check_calls,
        "baseline": check_baseline,
    }
    problems = checks[arguments.action](contract, arguments.file)
    print("\n".join(problems) if problems else f"{len(contract.functions)} functions agree")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
