"""Transcripts as Claude Code leaves them behind, and as it does not."""

from __future__ import annotations

import json
import os
import random
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from json_mutations import Mutations

Json = Any
HOUR_S = 3600
# Of entries, before now. Nothing within minutes of an edge: five hours and seven days ago.
RANGES_S = (
    *((60, 4 * HOUR_S), (60, 4 * HOUR_S), (60, HOUR_S)),
    *((6 * HOUR_S, 20 * HOUR_S), (24 * HOUR_S, 6 * 24 * HOUR_S), (8 * 86_400, 20 * 86_400)),
    (-2 * HOUR_S, -600),
)
GAPS_S = (5 * HOUR_S, 5 * HOUR_S + 1, 5 * HOUR_S - 1, HOUR_S, 1, 0)
ODD_LINES = (
    *(b"", b"{}", b"null", b"[]", b"not json", b'{"timestamp":"bad"}', b"\xff\xfe", b"\x00"),
    *(b'{"timestamp":"2026-11-20T10:00:00Z"}', b"   ", b'{"message":{}}'),
)


def has_another_id(line: bytes, own: str | None) -> bool:
    """Whether a line that was mutated might now be taken for another of some other file."""
    try:
        message = json.loads(line.decode("utf-8", "replace"))
        if isinstance(message, list):
            message = {"message": message[1]}
        message = message["message"]
        found = message[2] if isinstance(message, list) else message["id"]
    except (ValueError, LookupError, TypeError):
        return False
    return isinstance(found, str) and found != own


class Tree:
    """`projects/` of up to three places, which grow and change."""

    def __init__(self, path: Path, chance: random.Random) -> None:
        self.places = {
            "config_dir": path / "claude-config",
            "xdg_config_home": path / "xdg",
            "home": path / "home",
        }
        self.projects = [
            path / "claude-config" / "projects",
            path / "xdg" / "claude" / "projects",
            path / "home" / ".claude" / "projects",
        ]
        self._chance = chance
        self._mutations = Mutations(chance)
        self._numbers = 0
        # The two read files in orders of their own, so which of two lines of one message in
        # different files counts is theirs to choose: such lines are all the same here.
        self._shared_lines: list[bytes] = []

    def change(self) -> str:
        """Does one thing to it, and says what."""
        ways = [*[self._append] * 8, *[self._add] * 6, self._truncate, self._replace, self._delete]
        ways += [self._rename, self._touch, self._half_a_line, self._other_files, self._rewrite]
        way = self._chance.choice(ways)
        return f"{way.__name__.strip('_')} {way()}"

    def _files(self) -> list[Path]:
        found: list[Path] = []
        for projects in self.projects:
            found += sorted(projects.glob("*/*.jsonl"))
        return [path for path in found if path.is_file()]

    def _any_file(self) -> Path | None:
        files = self._files()
        return self._chance.choice(files) if files else None

    def _add(self) -> str:
        self._numbers += 1
        workspace = self._chance.choice(("-work-a", "-work-b", "Ünï cödé", ".hidden"))
        path = self._chance.choice(self.projects) / workspace / f"session-{self._numbers}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._lines())
        return str(path)

    def _append(self) -> str:
        path = self._any_file()
        if path is None:
            return self._add()
        with path.open("ab") as file:
            file.write(self._lines())
        return str(path)

    def _half_a_line(self) -> str:
        path = self._any_file()
        if path is None:
            return "nothing"
        line = self._line()
        with path.open("ab") as file:
            file.write(line[: self._chance.randrange(len(line) + 1)])
        return str(path)

    def _truncate(self) -> str:
        path = self._any_file()
        if path is None:
            return "nothing"
        os.truncate(path, self._chance.randrange(path.stat().st_size + 1))
        return str(path)

    def _replace(self) -> str:
        path = self._any_file()
        if path is None:
            return "nothing"
        other = path.with_suffix(".new")
        other.write_bytes(self._lines())
        other.rename(path)
        return str(path)

    def _rewrite(self) -> str:
        """One of its lines, in place; and it grows."""
        path = self._any_file()
        if path is None:
            return "nothing"
        lines = path.read_bytes().splitlines(keepends=True)
        if lines:
            lines[self._chance.randrange(len(lines))] = self._line() + b"\n"
        path.write_bytes(b"".join(lines) + self._lines())
        return str(path)

    def _rename(self) -> str:
        path = self._any_file()
        if path is None:
            return "nothing"
        self._numbers += 1
        path.rename(path.with_name(f"renamed-{self._numbers}.jsonl"))
        return str(path)

    def _delete(self) -> str:
        path = self._any_file()
        if path is not None:
            path.unlink()
        return str(path)

    def _touch(self) -> str:
        path = self._any_file()
        if path is not None:
            os.utime(path)
        return str(path)

    def _other_files(self) -> str:
        """That are no transcripts, or nobody looks for."""
        projects = self._chance.choice(self.projects)
        names = (
            "top.jsonl",
            "w/notes.txt",
            "w/deeper/s.jsonl",
            "w/s.jsonl.bak",
            "w/S.JSONL",
            "w/x",
        )
        path = projects / self._chance.choice(names)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._lines())
        return str(path)

    # ---------------------------------------------------------------------- lines

    def _lines(self) -> bytes:
        lines = []
        for _ in range(self._chance.choice((0, 1, 3, 10, 30))):
            line = self._line()
            lines.append(line)
            if self._chance.random() < 0.15:
                lines.append(line)
        end = self._chance.choice((b"\n", b"\n", b"\n", b"\r\n"))
        return b"".join(line + end for line in lines)

    def _line(self) -> bytes:
        way = self._chance.random()
        if way < 0.05:
            return self._chance.choice(ODD_LINES)
        if way < 0.2 and self._shared_lines:
            return self._chance.choice(self._shared_lines)
        entry = self._entry()
        if way < 0.5:
            odd = self._mutations.of([entry]).replace(b"\n", b" ")
            if not has_another_id(odd, entry["message"]["id"]):
                return odd
        line = json.dumps(entry, ensure_ascii=self._chance.random() < 0.5).encode()
        self._shared_lines.append(line)
        return line

    def _entry(self) -> Json:
        self._numbers += 1
        message: Json = {"id": f"msg_{self._numbers}", "model": "claude-a", "role": "assistant"}
        if self._chance.random() < 0.9:
            message["usage"] = {
                "input_tokens": self._count(),
                "output_tokens": self._count(),
                "cache_creation_input_tokens": self._count(),
                "cache_read_input_tokens": self._count(),
                "service_tier": "standard",
            }
        if self._chance.random() < 0.1:
            message["id"] = None
        return {
            "type": "assistant",
            "timestamp": self._time(),
            "message": message,
            "uuid": f"{self._numbers}",
            "requestId": f"req_{self._numbers}",
            "isSidechain": False,
        }

    def _count(self) -> int:
        if self._chance.random() < 0.01:
            return 2**64 - 1
        return self._chance.randrange(10_000)

    def _time(self) -> str:
        least, most = self._chance.choice(RANGES_S)
        at = datetime.fromtimestamp(int(time.time()), timezone.utc)
        at -= timedelta(seconds=self._chance.uniform(least, most))
        if self._chance.random() < 0.3:  # on the second, and an exact gap from the full hour
            at = at.replace(minute=0, second=0, microsecond=0)
            at -= timedelta(seconds=self._chance.choice(GAPS_S))
            at = self._away_from_edges(at)
        text = at.isoformat().replace("+00:00", "Z")
        return self._chance.choice(
            (text, text, at.astimezone(timezone(timedelta(hours=2))).isoformat())
        )

    @staticmethod
    def _away_from_edges(at: datetime) -> datetime:
        """What is five hours or seven days old just now is so to one of the two only."""
        age = time.time() - at.timestamp()
        near = any(abs(age - edge) < 120 for edge in (0, 5 * HOUR_S, 7 * 86_400))
        return at - timedelta(seconds=300) if near else at
