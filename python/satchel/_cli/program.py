"""The commands and their groups.

A group of commands is a module with `add_parser(groups)`, which sets `run`: a function of the
parsed arguments that returns the exit code.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

import satchel

from . import tools, usage
from .trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

_GROUPS = [tools, usage]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m satchel", description="What Satchel keeps, from the command line."
    )
    parser.add_argument("--version", action="version", version=f"satchel {satchel.__version__}")
    groups = parser.add_subparsers(metavar="GROUP", required=True)
    for group in _GROUPS:
        group.add_parser(groups)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        stream = getattr(sys, name)
        # A name that is not UTF-8 must not end in a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    parsed = _parser().parse_args(arguments)
    try:
        code: int = parsed.run(parsed)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except (Trouble, OSError) as error:
        message = str(error)
    except satchel.Error as error:
        message = error.message or error.name
    print(f"satchel: {message}", file=sys.stderr)
    return 2
