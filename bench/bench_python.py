"""What a call through the Python module costs.

Prints rows `name  target  figure  verdict`. A figure is one whole call as Python makes it, the loop
around it included: what an empty function written in Python costs stands beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
import timeit
from typing import TYPE_CHECKING, Callable

import satchel

if TYPE_CHECKING:
    from collections.abc import Iterator

TARGET_NS = 200  # one call through the Python module, no work
CALLS = 100_000
FRAME = b'data: {"choices":[{"index":0,"delta":{"content":"word"}}]}\n\n'


def nanoseconds(rounds: int, call: Callable[..., object], *arguments: object) -> float:
    """One call, in the best of several rounds."""
    names: dict[str, object] = {f"a{i}": value for i, value in enumerate(arguments)}
    statement = f"call({', '.join(names)})"
    names["call"] = call
    return min(timeit.repeat(statement, globals=names, number=CALLS, repeat=rounds)) / CALLS * 1e9


def streaming(cache: satchel.PromptCache) -> satchel.Request:
    """A request in the middle of a stream."""
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    request = cache.request(method="POST", target="/v1/chat/completions", api_key="sk-1")
    assert request is not None
    request.body(json.dumps(body).encode())
    request.response(200, content_type="text/event-stream")
    return request


def rows(rounds: int) -> Iterator[tuple[str, float | None, float]]:
    """Name, target and figure, in nanoseconds."""

    def empty() -> None:
        pass

    yield "an empty function in Python", None, nanoseconds(rounds, empty)
    yield "satchel.abi_version(), no work", TARGET_NS, nanoseconds(rounds, satchel.abi_version)
    with satchel.PromptCache() as cache, streaming(cache) as request:
        yield "request.write(b''), lock released", None, nanoseconds(rounds, request.write, b"")
        name = f"request.write(an SSE frame of {len(FRAME)} bytes)"
        yield name, None, nanoseconds(rounds, request.write, FRAME)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, rougher figures")
    rounds = 3 if parser.parse_args().quick else 25
    print(f"{'name':<54} {'target':<19} figure")
    for name, target, figure in rows(rounds):
        limit = "-" if target is None else f"<= {target:5.0f} ns"
        verdict = "" if target is None else "ok" if figure <= target else "MISSED"
        print(f"{name:<54} {limit:<19} {figure:9.1f} {'ns':<10} {verdict}".rstrip(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
