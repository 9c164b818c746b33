"""How far a long command is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time

_BAR = 30
_EVERY = 5.0  # seconds between lines


class Progress:
    """Says on standard error how many of `total` are done; silent if that is soon."""

    def __init__(self, doing: str, total: int) -> None:
        self._doing = doing
        self._total = total
        self._on_terminal = sys.stderr.isatty()
        self._next = time.monotonic() + (0 if self._on_terminal else _EVERY)

    def at(self, done: int) -> None:
        """Shows it, unless that was just done."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (0.1 if self._on_terminal else _EVERY)
        self._show(done)

    def end(self, done: int) -> None:
        """Shows the last state, and leaves the line of a bar."""
        if self._on_terminal:
            self._show(done)
            print(file=sys.stderr)

    def _show(self, done: int) -> None:
        total = max(self._total, done, 1)  # others may have added entries
        if self._on_terminal:
            bar = ("#" * (_BAR * done // total)).ljust(_BAR)
            print(f"\r{self._doing} [{bar}] {done}/{total}", end="", file=sys.stderr, flush=True)
        else:
            print(f"{self._doing}: {done} of {total}", file=sys.stderr, flush=True)
