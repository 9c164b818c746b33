"""What the terminal can do, and text for it."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys

_CODES = {"green": "32", "yellow": "33", "red": "31", "dim": "2", "bold": "1"}


class Terminal:
    """Of standard output, as it is now."""

    def __init__(self) -> None:
        self.interactive = sys.stdout.isatty()
        self.colours = (
            self.interactive
            and not os.environ.get("NO_COLOR")
            and os.environ.get("TERM", "") != "dumb"
        )
        self.unicode = "utf" in (sys.stdout.encoding or "").lower()
        self.width = shutil.get_terminal_size((80, 24)).columns

    def painted(self, text: str, colour: str) -> str:
        """The text in a colour, if there are any."""
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self.colours and text else text

    def json(self, text: str) -> str:
        """JSON, whose strings are still right where their characters cannot be encoded."""
        if self.unicode:
            return text
        return re.sub(r"[^\x00-\x7f]", lambda found: json.dumps(found[0])[1:-1], text)

    def bar(self, percent: float, width: int) -> tuple[str, str]:
        """The full and the empty part of a bar."""
        full = min(width, round(width * percent / 100))
        if percent > 0:
            full = max(full, 1)
        filled, empty = ("█", "░") if self.unicode else ("#", ".")
        return filled * full, empty * (width - full)

    def cut(self, line: str) -> str:
        """The line, no wider than the terminal."""
        shown = 0
        kept = []
        for piece in re.split(r"(\x1b\[[0-9;]*m)", line):
            if not piece.startswith("\x1b"):
                piece = piece[: max(0, self.width - 1 - shown)]
                shown += len(piece)
            kept.append(piece)
        return "".join(kept)
