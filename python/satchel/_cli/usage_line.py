"""The line for prompts and status bars: `python -m satchel usage --line`.

    5h 42% ↻14:00 · 7d 9% ↻Tue 22:00

It prints what is known at once, also when that is stale: then a process of its own asks the
endpoint, behind the back of whoever waits for the line, and the next line has the answer. Only
where nothing is known at all it waits for the endpoint itself.

Nothing is imported here that a bare interpreter has not imported anyway.
"""

from __future__ import annotations

import os
import sys
import time

from .. import _core

TYPE_CHECKING = False  # as typing has it
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .._core import UsageTuple

_SECOND = 1_000_000_000
_DAY = 86_400
_JSONL = 5
_STALE = 3
_NO_CREDENTIALS = 1  # SATCHEL_USAGE_ERROR_NO_CREDENTIALS
_UNAVAILABLE = -18  # SATCHEL_ERR_UNAVAILABLE


class LineOptions:
    """What the line depends on."""

    def __init__(self) -> None:
        self.cache_dir: str | None = None
        self.config_dirs: list[str] | None = None
        self.timeout = 2.0  # seconds
        self.config: dict[str, Any] = {}


def plain_options(arguments: Sequence[str]) -> LineOptions | None:
    """Reads the command's arguments, None where they need the parser: for help, and for errors."""
    options = LineOptions()
    left = list(arguments)
    while left:
        name, given, value = left.pop(0).partition("=")
        if name == "--line" and not given:
            continue
        if name not in ("--cache-dir", "--config-dir", "--timeout"):
            return None
        if not given:
            if not left or left[0].startswith("-"):
                return None
            value = left.pop(0)
        if name == "--cache-dir":
            options.cache_dir = value
        elif name == "--config-dir":
            options.config_dirs = [*(options.config_dirs or []), value]
        elif value.isascii() and value.isdigit() and 0 < int(value) <= _DAY:
            options.timeout = float(value)
        else:
            return None
    return options


def print_line(options: LineOptions) -> int:
    """Prints the line. 0; 1: nothing is known; 2: it could not be done."""
    fancy = "utf" in (getattr(sys.stdout, "encoding", None) or "").lower()
    usage = _known(options)
    refresh = usage is not None and usage[0] == _STALE and usage[1] == 0
    code = 0
    trouble = ""
    if usage is None:
        try:
            usage = _resolve(options)
        except Exception as error:  # its class would have to be imported
            if getattr(error, "status", 0) != _UNAVAILABLE:
                raise
            trouble = getattr(error, "message", "")
            code = 1
    line = f"usage unknown: {trouble.partition(':')[0]}" if usage is None else _line(usage, fancy)
    try:
        print(line, flush=True)
        if trouble and sys.stderr is not None:  # closed: print would take standard output
            print(f"satchel: {trouble}", file=sys.stderr, flush=True)
    except OSError:  # whoever wanted it is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if refresh:
        _refresh_behind(options)
    return code


# --------------------------------------------------------------------------------------- asking


def _open(options: LineOptions, config: str, credentials: Any = None) -> _core.Cascade:
    if options.config:
        import json

        config = json.dumps({**options.config, **json.loads(config)})
    return _core.open_cascade(
        config.encode(),
        cache_dir=None if options.cache_dir is None else os.fsencode(options.cache_dir),
        config_dirs=(
            None
            if options.config_dirs is None
            else [os.fsencode(path) for path in options.config_dirs]
        ),
        host_config=b'{"log_level": "off"}',
        log=None,
        clock=None,
        monotonic=None,
        http=None,
        files=None,
        credentials=credentials,
        transcripts=None,
    )


def _known(options: LineOptions) -> UsageTuple | None:
    # What the files know, fresh or not. Without credentials nobody is asked: this process ends too
    # soon for that.
    config = '{"stale_while_revalidate": true, "timeout_ms": 1, "transcripts": {"enabled": false}}'
    cascade = _open(options, config, lambda: _NO_CREDENTIALS)
    try:
        return cascade.resolve()
    except Exception as error:
        if getattr(error, "status", 0) != _UNAVAILABLE:
            raise
        return None
    finally:
        cascade.close()


def _resolve(options: LineOptions) -> UsageTuple:
    timeout_ms = max(1, round(options.timeout * 1000))
    config = f'{{"stale_while_revalidate": false, "timeout_ms": {timeout_ms}}}'
    cascade = _open(options, config)
    try:
        return cascade.resolve()
    finally:
        cascade.close()


def _refresh_behind(options: LineOptions) -> None:
    """Asks the endpoint in a process that nobody waits for."""
    # The library has no thread left in this process, and Python none but this.
    try:
        if os.fork() != 0:
            return
    except OSError:  # the next line tries again
        return
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        os.closerange(3, 256)  # a pipe that somebody reads to its end, for instance
        _resolve(options)
    except BaseException:  # nobody is there to be told
        os._exit(1)
    os._exit(0)


# -------------------------------------------------------------------------------------- showing


def _line(usage: UsageTuple, fancy: bool) -> str:
    source, _, age, five, five_reset, seven, seven_reset, five_tokens, seven_tokens, block, _ = (
        usage
    )
    if source == _JSONL:
        parts = [
            f"5h {short_count(sum(five_tokens))} tokens" if block else "5h idle",
            f"7d {short_count(sum(seven_tokens))} tokens",
        ]
    else:
        parts = [
            f"5h {_window(five, five_reset, fancy)}",
            f"7d {_window(seven, seven_reset, fancy)}",
        ]
    if source == _STALE:
        parts.append(f"stale {short_age(age // _SECOND)}")
    return (" · " if fancy else " | ").join(parts)


def _window(utilization: float, resets_at: int, fancy: bool) -> str:
    if utilization < 0:
        return "?"
    shown = f"{round(utilization)}%"
    if not resets_at:
        return shown
    at = resets_at // _SECOND
    form = "%H:%M" if at - time.time() < _DAY else "%a %H:%M"
    return f"{shown} {chr(0x21BB) if fancy else '@'}{time.strftime(form, time.localtime(at))}"


def short_count(count: int) -> str:
    """`999`, `1.5k`, `12.3M`."""
    if count < 1000:
        return str(count)
    for power, unit in ((1e3, "k"), (1e6, "M"), (1e9, "G")):
        if count / power < 999.95:
            return f"{count / power:.1f}{unit}"
    return f"{count / 1e12:.1f}T"


def short_age(seconds: int) -> str:
    """`5s`, `12m`, `3h`, `2d`."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
