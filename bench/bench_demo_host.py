"""What the demo host adds to a request's latency, against the limit of the design.

    bench_demo_host.py [--quick] [--library PATH] [--demo-host PATH]

Prints rows `name  target  figure  verdict`. One connection to the host and one past it to the same
upstream; requests go over the two in turn, so that both see the same machine. A figure is the
median of the differences. Clients, host and upstream share the machine's processors.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))

from agent import Agent, without_markers
from processes import (
    StartError,
    built_demo_host,
    built_library,
    start_demo_host,
    start_upstream,
)

LIMIT_US = 150.0
WARM_UP = 20


class Connection:
    """One kept-alive connection; as little work of its own as Python allows."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def microseconds(self, request: bytes) -> float:
        """From the first byte sent to the last byte received."""
        start = time.perf_counter_ns()
        self._socket.sendall(request)
        received = b""
        while not _is_whole(received):
            piece = self._socket.recv(1 << 18)
            if not piece:
                raise StartError(f"the connection ended after {received[:200]!r}")
            received += piece
        elapsed = time.perf_counter_ns() - start
        if not received.startswith(b"HTTP/1.1 200"):
            raise StartError(f"not a 200: {received[:200]!r}")
        return elapsed / 1000

    def close(self) -> None:
        self._socket.close()


def _is_whole(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    head = head.lower()
    at = head.find(b"\r\ncontent-length:")
    if at < 0:
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(head[at + 17 :].partition(b"\r\n")[0])


@dataclass(frozen=True)
class Case:
    name: str
    through: bytes  # what the client sends to the host
    past: bytes  # what the host sends on
    limit_us: float  # 0: a figure for comparison


def post(body: Any) -> bytes:
    data = json.dumps(body).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer sk-b\r\n"
    head += "Content-Type: application/json\r\nx-upstream-script: tokens=16\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(data) + data


def chat(name: str, body: Any, limit_us: float) -> list[Case]:
    """A prompt whole and streamed."""
    cases = []
    for stream in (False, True):
        through = {**body, "stream": stream}
        past = without_markers(through)
        if stream:
            past["stream_options"] = {"include_usage": True}
        kind = "streamed, 16 tokens" if stream else "whole"
        size = len(post(through))
        label = f"{name}, {kind}, {size / 1000:.0f} KB"
        cases.append(Case(label, post(through), post(past), limit_us))
    return cases


def all_cases() -> list[Case]:
    marker = {"type": "ephemeral"}
    system = [{"type": "text", "text": "You are careful. " * 250, "cache_control": marker}]
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "Hello"}]
    listing = b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    return [
        Case("GET /v1/models", listing, listing, LIMIT_US),
        *chat("chat", {"model": "m-1", "messages": messages}, LIMIT_US),
        *chat("agent turn", json.loads(Agent().body(stream=False)), 0),
    ]


def measure(case: Case, host: Connection, upstream: Connection, rounds: int) -> tuple[float, float]:
    """The median time past the host, and the median of what the host adds."""
    added, direct = [], []
    for n in range(WARM_UP + rounds):
        past = upstream.microseconds(case.past)
        through = host.microseconds(case.through)
        if n >= WARM_UP:
            direct.append(past)
            added.append(through - past)
    return statistics.median(direct), statistics.median(added)


def report(name: str, limit_us: float, direct: float, added: float) -> None:
    target = f"<= {limit_us:5.0f} us" if limit_us else "-"
    verdict = ("ok" if added <= limit_us else "MISSED") if limit_us else ""
    label = f"demo host adds: {name} (direct {direct:.0f} us)"
    print(f"{label:<72} {target:<19} {added:9.1f} {'us':<10} {verdict}".rstrip(), flush=True)


def run(options: argparse.Namespace) -> None:
    program = options.demo_host or built_demo_host()
    library = options.library or built_library()
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="satchel-bench-"))
        upstream = start_upstream()
        stack.callback(upstream.stop)
        past = stack.enter_context(contextlib.closing(Connection(upstream.port)))
        print(f"{'name':<72} {'target':<19} figure")
        for index, where in (("memory", "memory"), ("sqlite", directory)):
            host = start_demo_host(program, library, upstream.url, "--index", where)
            stack.callback(host.stop)
            through = stack.enter_context(contextlib.closing(Connection(host.port)))
            for case in all_cases():
                direct, added = measure(case, through, past, 100 if options.quick else 1000)
                report(f"{case.name}, {index}", case.limit_us, direct, added)


def main() -> int:
    parser = argparse.ArgumentParser(description="What the demo host adds to a request's latency")
    parser.add_argument("--library", type=Path, metavar="PATH")
    parser.add_argument("--demo-host", type=Path, metavar="PATH")
    parser.add_argument("--quick", action="store_true")
    try:
        run(parser.parse_args())
    except (StartError, OSError) as error:
        print(f"bench_demo_host: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
