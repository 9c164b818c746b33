"""What the tests hold in their hands: a demo host, the upstream, a wait for what must happen."""

from __future__ import annotations

import json
import time
from typing import Any, Callable

import openai
from processes import Server

Json = Any
SECONDS_TO_HAPPEN = 30.0


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Waits until it holds; fails with `what` when it never does."""
    deadline = time.monotonic() + SECONDS_TO_HAPPEN
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.01)


class Host:
    """A demo host under test."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.port = server.port
        self._idle = self.health()["in_flight"]
        self._clients: dict[str, openai.OpenAI] = {}

    def health(self) -> Json:
        return self.server.get("/healthz")

    def settled_index(self) -> Json:
        """The counts of the index once no request is in flight and nothing waits for writing."""

        def settled() -> bool:
            now = self.health()
            return bool(now["in_flight"] <= self._idle and now["index"]["entries_waiting"] == 0)

        eventually(settled, "the host is idle and its commits are written")
        return self.index()

    def index(self) -> Json:
        """The counts of the index as they are."""
        return self.health()["index"]

    def in_flight(self) -> int:
        return int(self.health()["in_flight"] - self._idle)

    def client(self, key: str = "sk-test") -> openai.OpenAI:
        """One client a key: making one takes longer than a request."""
        if key not in self._clients:
            url = f"{self.server.url}/v1"
            client = openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=60)
            self._clients[key] = client
        return self._clients[key]

    def log(self) -> str:
        return self.server.log()

    def stop(self) -> int:
        return self.server.stop()


class Upstream:
    """The scripted upstream."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.port = server.port
        self.url = server.url

    def requests(self) -> list[Json]:
        """What reached it since the test began."""
        found: list[Json] = self.server.get("/control/requests")
        return found

    def last_body(self) -> Json:
        return json.loads(self.requests()[-1]["body"])

    def waiting(self, gate: str) -> int:
        """How many answers stand at a gate."""
        return int(self.server.get("/control/state")["waiting"].get(gate, 0))

    def open_gate(self, gate: str) -> None:
        self.server.get(f"/control/gate/{gate}", "POST")

    def client(self) -> openai.OpenAI:
        """A client that goes past the host."""
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key="sk-test", max_retries=0)


StartHost = Callable[..., Host]
