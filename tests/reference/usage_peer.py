"""Drives tests/reference/linesmith, the reference of the usage cascade; README.md: its commands."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from peer import Json, Peer


def given_bytes(name: str, value: bytes | str | Path) -> dict[str, str]:
    """A member of a command whose bytes need not be UTF-8."""
    data = value if isinstance(value, bytes) else os.fsencode(value)
    return {f"{name}_b64": base64.b64encode(data).decode()}


def places(
    config_dir: bytes | str | Path | None = None,
    xdg_config_home: bytes | str | Path | None = None,
    home: bytes | str | Path | None = None,
) -> dict[str, str]:
    """Where credentials and transcripts are looked for; what is not named is not set."""
    members: dict[str, str] = {}
    for name, path in (
        ("config_dir", config_dir),
        ("xdg_config_home", xdg_config_home),
        ("home", home),
    ):
        if path is not None:
            members |= given_bytes(name, path)
    return members


class UsagePeer(Peer):
    """A running program that resolves usage."""

    def resolve(
        self,
        cache_dir: Path | None,
        *,
        credentials: dict[str, Any],
        transport: dict[str, Any],
        jsonl: dict[str, Any] | None = None,
        **options: Json,
    ) -> Json:
        """One resolve: `result`, `calls` to each source, and what the transport was `asked`."""
        return self.ask(
            "resolve",
            **({} if cache_dir is None else given_bytes("cache_dir", cache_dir)),
            credentials=credentials,
            transport=transport,
            jsonl=jsonl or "none",
            **options,
        )

    def read_cache(self, cache_dir: Path) -> Json:
        return self.ask("read_cache", **given_bytes("cache_dir", cache_dir))["is"]

    def write_cache(self, cache_dir: Path, body: bytes, cached_at: str | None = None) -> None:
        """As if the endpoint had answered `body`, at `cached_at` or just now."""
        members = given_bytes("cache_dir", cache_dir) | given_bytes("body", body)
        self.ask("write_cache", cached_at=cached_at, **members)

    def write_cached_error(self, cache_dir: Path, code: str, cached_at: str | None = None) -> None:
        members = given_bytes("cache_dir", cache_dir)
        self.ask("write_cache", code=code, cached_at=cached_at, **members)

    def read_lock(self, cache_dir: Path) -> Json:
        return self.ask("read_lock", **given_bytes("cache_dir", cache_dir))["is"]

    def write_lock(self, cache_dir: Path, blocked_until: int, code: str | None = None) -> None:
        members = given_bytes("cache_dir", cache_dir)
        self.ask("write_lock", blocked_until=blocked_until, code=code, **members)

    def aggregate(self, where: dict[str, str]) -> Json:
        """`is`: the windows, or null with a `code`."""
        return self.ask("aggregate", **where)

    def credentials(self, where: dict[str, str]) -> Json:
        """`is`: `token`, `scopes` and `place`, or null with a `code`."""
        return self.ask("credentials", **where)

    def parse_credentials(self, contents: bytes) -> Json:
        return self.ask("parse_credentials", **given_bytes("body", contents))

    def parse_usage(self, body: bytes) -> Json:
        """The endpoint's answer as the crate writes it again; nothing where it refuses it."""
        return self.ask("parse_usage", **given_bytes("body", body))["is"]

    def parse_timestamp(self, text: str) -> Json:
        return self.ask("parse_timestamp", text=text)["is"]

    def bench_fresh(self, cache_dir: Path, iterations: int) -> int:
        """The median in nanoseconds."""
        members = given_bytes("cache_dir", cache_dir)
        return int(self.ask("bench_fresh", iterations=iterations, **members)["median_ns"])

    def bench_aggregate(self, where: dict[str, str], iterations: int) -> list[float]:
        """Seconds each."""
        return list(self.ask("bench_aggregate", iterations=iterations, **where)["seconds"])
