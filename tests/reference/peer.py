"""Talks to a program in lines of JSON: a reference, or the library in a process of its own
(tests/interplay/satchel_peer.py). README.md has the commands. A peer that holds tool caches opens
them as `Cache`; `usage_peer.py` has the peer that resolves usage.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = Any
Roots = tuple[tuple[str, str], ...]
WAIT_S = 20.0


class PeerError(Exception):
    """The program said that it cannot, or it ended."""


@dataclass(frozen=True)
class Lookup:
    """What a lookup answered: hit, miss, invalidated, integrity_error, meta_error or error."""

    state: str
    payload: bytes | None = None
    kind: str | None = None
    roots: Roots = ()
    upstreams: tuple[str, ...] = ()
    message: str | None = None

    @staticmethod
    def of(answer: Json) -> Lookup:
        if answer["is"] != "hit":
            return Lookup(answer["is"], message=answer.get("message"))
        return Lookup(
            "hit",
            base64.b64decode(answer["payload_b64"]),
            answer["kind"],
            tuple((root["path"], root["expected_hash"]) for root in answer["roots"]),
            tuple(answer["upstreams"]),
        )


class Peer:
    """A running program."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115, lives as long as we do
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            cwd=cwd,
            env=env,
        )
        self._numbers = itertools.count()

    def __repr__(self) -> str:
        return f"<{self.name}, process {self._process.pid}>"

    def ask(self, op: str, **fields: Json) -> Json:
        """Sends one command and waits for its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        command = json.dumps({"op": op, **fields})
        try:
            self._process.stdin.write(command.encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            status = self._process.wait(WAIT_S)
            raise PeerError(f"{self.name} ended with {status} at {command}\n{self.log()}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(f"{self.name} says {answer['error']!r} to {command}")
        return answer

    def log(self) -> str:
        """What it has written to standard error so far."""
        with open(f"/proc/self/fd/{self._stderr.fileno()}", "rb") as again:
            return again.read().decode("utf-8", "replace")

    def key(self, data: bytes) -> str:
        return str(self.ask("key", input_b64=_text(data))["is"])

    def tool_result_key(self, data: bytes) -> str:
        return str(self.ask("tool_result_key", input_b64=_text(data))["is"])

    def open(self, store: Path, workspace: Path, **more: Json) -> Cache:
        """One more cache in it. `more`: what `open` takes besides."""
        cache = Cache(self, f"{next(self._numbers)}", store, workspace, more)
        cache.reopen()
        return cache

    def stop(self) -> int:
        """Ends it by ending its input; its exit status."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            return self._process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        finally:
            self._process.wait()
            self._process.stdout.close()
            self._stderr.close()


class Cache:
    """A cache that a peer holds open."""

    def __init__(
        self, peer: Peer, name: str, store: Path, workspace: Path, more: Mapping[str, Json]
    ) -> None:
        self.peer = peer
        self.store = store
        self.workspace = workspace
        self._name = name
        self._more = more

    def ask(self, op: str, **fields: Json) -> Json:
        return self.peer.ask(op, cache=self._name, **fields)

    def reopen(self) -> None:
        self.ask("open", store=str(self.store), workspace=str(self.workspace), **self._more)

    def close(self) -> None:
        self.ask("close")

    def lookup(self, key: str) -> Lookup:
        return Lookup.of(self.ask("lookup", key=key))

    def lookup_revalidate(self, key: str) -> Lookup:
        return Lookup.of(self.ask("lookup_revalidate", key=key))

    def persist(
        self, key: str, payload: bytes, kind: str, roots: Roots = (), upstreams: Sequence[str] = ()
    ) -> None:
        self.ask(
            "persist",
            key=key,
            payload_b64=_text(payload),
            kind=kind,
            roots=[{"path": path, "expected_hash": expected} for path, expected in roots],
            upstreams=list(upstreams),
        )

    def contains(self, key: str) -> bool:
        return bool(self.ask("contains", key=key)["is"])

    def mark_dirty(self, key: str) -> None:
        self.ask("mark_dirty", key=key)

    def invalidate_upstream(self, key: str) -> int:
        return int(self.ask("invalidate_upstream", key=key)["is"])

    def invalidate_path(self, path: Path | str | bytes) -> int:
        return int(self.ask("invalidate_path", path_b64=_text(os.fsencode(path)))["is"])

    def entry_count(self) -> int:
        return int(self.ask("entry_count")["is"])

    def known_kinds(self) -> list[str]:
        return list(self.ask("known_kinds")["is"])

    def total_bytes(self) -> int:
        return int(self.ask("total_bytes")["is"])

    def evict_to_cap(self, cap: int) -> int:
        return int(self.ask("evict_to_cap", cap=cap)["is"])

    def fingerprint(self, path: Path | str | bytes, form: str) -> str | None:
        """The fingerprint; nothing where there is none to be had."""
        found = self.ask("fingerprint", path_b64=_text(os.fsencode(path)), form=form)["is"]
        return None if found is None else str(found)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
