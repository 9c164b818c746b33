"""What the tests of the cascade share: an account, its endpoint, and a time."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
import satchel

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "sk-ant-oat01-THE-TOKEN"
NOW = datetime(2026, 4, 19, 12, 0, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
ANSWER: dict[str, Any] = {
    "five_hour": {"utilization": 42.3, "resets_at": (NOW + 2 * HOUR).isoformat()},
    "seven_day": {"utilization": 9.0, "resets_at": (NOW + 80 * HOUR).isoformat()},
    "a_new_bucket": {"anything": [1]},
}


def unix_ns(time: datetime) -> int:
    return int(time.timestamp()) * 1_000_000_000


class Clock:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return unix_ns(self.now)


class Endpoint:
    """Answers with what it has been told last."""

    def __init__(self, status: int = 200, answer: Any = ANSWER, **headers: str) -> None:
        self.asked: list[satchel.HttpRequest] = []
        self.tell(status, answer, **headers)

    def tell(self, status: int, answer: Any = None, **headers: str) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer = satchel.HttpAnswer(status, body, named)

    def __call__(self, request: satchel.HttpRequest) -> satchel.HttpAnswer:
        self.asked.append(request)
        return self.answer


def open_cascade(directory: Path, **parts: Any) -> satchel.Cascade:
    """A cascade in a directory of its own; by default nobody is asked but `Endpoint`."""
    given: dict[str, Any] = {
        "cache_dir": directory / "cache",
        "config_dirs": [directory / "claude"],
        "credentials": lambda: TOKEN,
        "clock": Clock(),
        "http": Endpoint(),
    }
    return satchel.Cascade(**{**given, **parts})


def write_transcript(directory: Path, *entries: tuple[datetime, str, int]) -> None:
    """Entries of time, model and output tokens, in a configuration directory."""
    session = directory / "projects" / "work" / "session.jsonl"
    session.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, (time, model, output) in enumerate(entries):
        message = {
            "id": f"m{number}",
            "model": model,
            "usage": {"input_tokens": 10, "output_tokens": output, "cache_read_input_tokens": 1000},
        }
        lines.append(json.dumps({"timestamp": time.isoformat(), "message": message}) + "\n")
    session.write_text("".join(lines))


def unavailable(cascade: satchel.Cascade) -> satchel.UsageUnavailable:
    """What a resolve of it raises, which closes it."""
    with cascade, pytest.raises(satchel.UsageUnavailable) as caught:
        cascade.resolve()
    return caught.value
