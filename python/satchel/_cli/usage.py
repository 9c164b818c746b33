"""`python -m satchel usage`: how much of a Claude account's quota is used."""

from __future__ import annotations

import argparse
import json
import math
import queue
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import satchel
from satchel._usage import Usage, usage_of

from .amounts import seconds
from .terminal import Terminal
from .usage_faults import explained
from .usage_line import LineOptions, print_line
from .usage_report import end_moment, local_offset, moment, report_lines
from .usage_view import usage_lines

if TYPE_CHECKING:
    from types import FrameType

    Groups = argparse._SubParsersAction[argparse.ArgumentParser]

_EVERY = 30.0  # seconds between two looks of --watch
_TIMEOUT = 2.0


def _open(arguments: argparse.Namespace, *, quiet: bool = False) -> satchel.Cascade:
    return satchel.Cascade(
        {**arguments.config, "timeout_ms": max(1, math.ceil(arguments.timeout * 1000))},
        cache_dir=arguments.cache_dir,
        config_dirs=arguments.config_dirs,
        log=_log,
        log_level="off" if quiet else "warn",
    )


def _log(_level: int, _component: str, message: str) -> None:
    print(f"satchel: {message}", file=sys.stderr)


def _resolved(cascade: satchel.Cascade) -> Usage:
    """As `Cascade.resolve`, but Ctrl-C need not wait for the endpoint."""
    answers: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
    cascade._core.resolve_start(lambda found, error: answers.put((found, error)))
    found, error = answers.get()
    if error is not None:
        raise error
    return usage_of(found)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.by != "day" and not arguments.report:
        arguments.parser.error("--by is for --report")
    if (arguments.since or arguments.until) and not arguments.report:
        arguments.parser.error("--since and --until are for --report")
    if arguments.line:
        if arguments.json or arguments.report or arguments.watch is not None:
            arguments.parser.error("--line goes alone: not with --json, --report or --watch")
        return print_line(_line_options(arguments))
    if arguments.report:
        if arguments.watch is not None:
            arguments.parser.error("--report and --watch do not go together")
        return _report(arguments)
    if arguments.watch is not None:
        return _watch(arguments)
    return _show(arguments)


def _line_options(arguments: argparse.Namespace) -> LineOptions:
    options = LineOptions()
    options.cache_dir = arguments.cache_dir
    options.config_dirs = arguments.config_dirs
    options.timeout = arguments.timeout
    options.config = arguments.config
    return options


def _show(arguments: argparse.Namespace) -> int:
    with _open(arguments) as cascade:
        try:
            usage = _resolved(cascade)
        except satchel.UsageUnavailable as error:
            return _nothing(error.fault)
    if arguments.json:
        print(Terminal().json(usage.to_json()))
    else:
        for line in usage_lines(usage, Terminal()):
            print(line)
    return 0


def _nothing(fault: satchel.UsageFault) -> int:
    print(f"satchel: nothing is known: {explained(fault)}", file=sys.stderr)
    return 1


def _report(arguments: argparse.Namespace) -> int:
    with _open(arguments) as cascade:
        try:
            report = cascade.report(
                since=arguments.since, until=arguments.until, utc_offset=local_offset()
            )
        except satchel.UsageUnavailable as error:
            return _nothing(error.fault)
    if arguments.json:
        print(json.dumps(report))
    else:
        for line in report_lines(report, arguments.by):
            print(line)
    return 0


def _watch(arguments: argparse.Namespace) -> int:
    # A shell has Ctrl-C ignored in what it runs in the background; `kill -INT` is meant to end it.
    signal.signal(signal.SIGINT, _interrupted)
    drawn = 0
    try:
        with _open(arguments, quiet=True) as cascade:
            while True:
                terminal = Terminal()
                lines = _watched_lines(cascade, terminal, arguments.json)
                if terminal.interactive and not arguments.json:
                    lines = [terminal.cut(line) for line in lines]  # so that each is one row
                    if drawn:
                        print(f"\x1b[{drawn}F\x1b[J", end="")
                elif drawn and not arguments.json:
                    print()
                for line in lines:
                    print(line)
                drawn = len(lines)
                sys.stdout.flush()
                time.sleep(arguments.watch)
    except KeyboardInterrupt:
        return 0


def _interrupted(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _watched_lines(cascade: satchel.Cascade, terminal: Terminal, as_json: bool) -> list[str]:
    try:
        usage = _resolved(cascade)
    except satchel.UsageUnavailable as error:
        if as_json:
            return [json.dumps({"source": "none", "error": error.fault.code})]
        return [f"nothing is known: {explained(error.fault)}"]
    return [terminal.json(usage.to_json())] if as_json else usage_lines(usage, terminal)


def _config(path: str) -> dict[str, Any]:
    try:
        config = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{path} is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise argparse.ArgumentTypeError(f"{path} is no JSON object")
    return config


def _interval(text: str) -> float:
    interval = seconds(text)
    if not 1 <= interval <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 1 and 86400 seconds")
    return interval


def _timeout(text: str) -> float:
    timeout = seconds(text)
    if not 0.001 <= timeout <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0.001 and 86400 seconds")
    return timeout


_EPILOG = """\
--line prints "5h 42% ↻14:00 · 7d 9% ↻Tue 22:00": percent used and when the window begins anew, in
local time. "stale 12m" behind it says how old the numbers are, if nothing fresher is known. It
prints what is known at once; if that is stale, a process in the background asks the endpoint for
the next line. Only if nothing is known it waits, up to --timeout.

exit codes: 0 something is known (Ctrl-C, of --watch); 1 nothing is known; 2 it could not be done
"""


def add_parser(groups: Groups) -> None:
    """Adds the group to the command line."""
    about = "how much of a Claude account's quota is used"
    parser = groups.add_parser(
        "usage",
        help=about,
        description=about,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=_run, parser=parser)
    parser.add_argument("--json", action="store_true", help="print JSON, all that is known")
    parser.add_argument("--line", action="store_true", help="one line, for prompts and status bars")
    parser.add_argument(
        "--watch",
        metavar="SECONDS",
        nargs="?",
        const=_EVERY,
        type=_interval,
        help=f"draw it again and again, every {_EVERY:g} seconds; Ctrl-C ends it",
    )
    parser.add_argument("--report", action="store_true", help="tokens counted in the transcripts")
    parser.add_argument(
        "--since",
        metavar="DATE",
        type=moment,
        help="of a report: from then on; 2026-11-20, 2026-11-20T14:30 (local time), 7d (ago)",
    )
    parser.add_argument(
        "--until", metavar="DATE", type=end_moment, help="before then; a whole day is included"
    )
    parser.add_argument(
        "--by", choices=["day", "model", "block"], default="day", help="a report's rows"
    )
    parser.add_argument(
        "--cache-dir",
        metavar="DIR",
        help="of usage.json; by default $XDG_CACHE_HOME/linesmith or ~/.cache/linesmith",
    )
    parser.add_argument(
        "--config-dir",
        dest="config_dirs",
        metavar="DIR",
        action="append",
        help="with .credentials.json and projects/, repeatable; by default those of Claude Code",
    )
    parser.add_argument(
        "--config", metavar="FILE", type=_config, default={}, help="the configuration, JSON"
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_timeout,
        default=_TIMEOUT,
        help=f"nobody waits longer for the endpoint; by default {_TIMEOUT:g}",
    )
