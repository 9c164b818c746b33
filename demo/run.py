"""`make demo`: an agent conversation through the demo host, and what it costs.

    python demo/run.py [--library PATH] [--demo-host PATH] [--turns N] [--serve]

Starts a scripted upstream and the demo host before it, on free ports of 127.0.0.1, with an
embedded index in a temporary directory. Ends with 1 if the first turn was not created in the
cache or a later one not read from it. Leaves nothing behind.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from agent import Agent, CallError, Usage, call
from processes import (
    REPOSITORY,
    Server,
    StartError,
    built_demo_host,
    built_library,
    start_demo_host,
    start_upstream,
)

# Prices as multiples of the price of an input token, as Anthropic sets them for reads and for the
# tiers 5m and 1h. Nobody sells 24h yet: taken as 1h.
READ_PRICE = 0.10
CREATED_5M_PRICE = 1.25
CREATED_1H_PRICE = 2.00
CREATED_24H_PRICE = 2.00

SECONDS_TO_SETTLE = 5.0

HEADINGS = (
    "turn",
    "mode",
    "prompt",
    "read",
    "created 5m",
    "created 1h",
    "created 24h",
    "library µs",
)
WIDTHS = (4, 8, 8, 8, 10, 10, 11, 10)


@dataclass
class Bill:
    """Input tokens of the conversation, as they are and as they are paid."""

    prompt: int = 0
    paid: float = 0.0

    def add(self, usage: Usage) -> None:
        """Adds a turn."""
        self.prompt += usage.prompt
        self.paid += usage.prompt - usage.read - usage.created
        self.paid += READ_PRICE * usage.read
        self.paid += CREATED_5M_PRICE * usage.created_5m
        self.paid += CREATED_1H_PRICE * usage.created_1h
        self.paid += CREATED_24H_PRICE * usage.created_24h


def row(cells: tuple[object, ...]) -> str:
    """One line of the table: numbers to the right, the mode to the left."""
    texts = [f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells]
    return "  ".join(
        text.ljust(width) if heading == "mode" else text.rjust(width)
        for text, width, heading in zip(texts, WIDTHS, HEADINGS)
    )


def wrong_with(turn: int, usage: Usage) -> str:
    """What a turn's counts should have been and are not; empty if they are as they should be."""
    if turn == 1 and (usage.read != 0 or usage.created == 0):
        return "turn 1 should create its whole prefix and read nothing"
    if turn > 1 and usage.read == 0:
        return f"turn {turn} should read what turn {turn - 1} created"
    if usage.read + usage.created > usage.prompt:
        return f"turn {turn} counts more cached tokens than its prompt has"
    return ""


class LibraryTime:
    """Microseconds that the host spent inside the library, from its /healthz."""

    def __init__(self, host: Server) -> None:
        self._host = host
        idle = host.get("/healthz")
        self._idle_in_flight: int = idle["in_flight"]
        self._last: float = idle["library_microseconds"]

    def since_last(self) -> int:
        """Waits until the host is done with the turn, which may be just after we have its end."""
        deadline = time.monotonic() + SECONDS_TO_SETTLE
        health = self._host.get("/healthz")
        while health["in_flight"] > self._idle_in_flight and time.monotonic() < deadline:
            time.sleep(0.002)
            health = self._host.get("/healthz")
        now: float = health["library_microseconds"]
        self._last, spent = now, now - self._last
        return round(spent)


def play(host: Server, turns: int) -> Bill:
    """Plays the conversation and prints its table. Raises CallError."""
    agent, bill, library_time = Agent(), Bill(), LibraryTime(host)
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=60)
    print(row(HEADINGS))
    print("  ".join("-" * width for width in WIDTHS), flush=True)
    with contextlib.closing(connection):
        for turn in range(1, turns + 1):
            stream = turn % 2 == 1
            message, usage = call(connection, agent.body(stream=stream))
            bill.add(usage)
            created = (usage.created_5m, usage.created_1h, usage.created_24h)
            mode = "streamed" if stream else "whole"
            counts = (usage.prompt, usage.read, *created, library_time.since_last())
            print(row((turn, mode, *counts)), flush=True)
            wrong = wrong_with(turn, usage)
            if wrong:
                raise CallError(wrong)
            agent.take(message)
    return bill


def print_bill(bill: Bill) -> None:
    """The total saved, and at which prices."""
    saved = bill.prompt - bill.paid
    share = 100 * saved / bill.prompt
    print(f"\nInput tokens sent: {bill.prompt:,}. Paid as {bill.paid:,.0f}: saved {share:.0f} %.")
    print(
        f"Assumed, as multiples of the input price: read {READ_PRICE:.2f}, created"
        f" {CREATED_5M_PRICE:.2f} (5m), {CREATED_1H_PRICE:.2f} (1h), {CREATED_24H_PRICE:.2f} (24h)."
    )


def shown(path: Path) -> str:
    """A path as one would type it in the repository."""
    with contextlib.suppress(ValueError):
        return str(path.resolve().relative_to(REPOSITORY))
    return str(path)


def print_next_steps(program: Path, library: Path, serving: str) -> None:
    """How to point a real client at the host."""
    if serving:
        print(f"\nThe host stays up until Ctrl-C. In another terminal:\n\n{export_line(serving)}")
    else:
        print(
            "\nWith your own upstream and client:\n\n"
            f"  {shown(program)} --listen 127.0.0.1:8080 --upstream https://api.openai.com \\\n"
            f"      --library {shown(library)} --index ~/.cache/satchel &\n"
            f"{export_line('http://127.0.0.1:8080')}"
        )
    print(
        "\n  from openai import OpenAI\n"
        "  marker = {'type': 'ephemeral', 'ttl': '1h'}\n"
        "  text = ' '.join(map(str, range(2000)))\n"
        "  system = [{'type': 'text', 'text': text, 'cache_control': marker}]\n"
        "  messages = [{'role': 'system', 'content': system}, {'role': 'user', 'content': 'Hi'}]\n"
        "  for _ in range(2):\n"
        "      answer = OpenAI().chat.completions.create(model='gpt-4o-mini', messages=messages)\n"
        "      print(answer.usage)  # created, then read\n"
    )


def export_line(url: str) -> str:
    """What an OpenAI client takes from the environment."""
    return f"  export OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY=sk-..."


def interrupt(_number: int, _frame: object) -> NoReturn:
    """SIGTERM ends the demo as Ctrl-C does: everything is stopped, nothing stays."""
    raise KeyboardInterrupt


def run(options: argparse.Namespace) -> None:
    """Starts everything, plays, prints, stops everything."""
    program = options.demo_host or built_demo_host()
    library = options.library or built_library()
    with contextlib.ExitStack() as stack:
        index = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="satchel-demo-")))
        upstream = start_upstream("--token-delay-ms", "1")
        stack.callback(upstream.stop)
        host = start_demo_host(program, library, upstream.url, "--index", str(index / "index"))
        stack.callback(host.stop)
        version = host.get("/healthz")["library"]["version"]
        print(
            f"demo host {host.url} with libsatchel {version} -> scripted upstream {upstream.url}\n"
        )
        try:
            print_bill(play(host, options.turns))
        except (CallError, OSError, http.client.HTTPException) as error:
            raise CallError(f"{error}\n{host.log()}".strip()) from error
        print_next_steps(program, library, host.url if options.serve else "")
        sys.stdout.flush()
        while options.serve:
            signal.pause()


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description="An agent conversation through the demo host")
    parser.add_argument("--library", type=Path, metavar="PATH", help="libsatchel.so")
    parser.add_argument("--demo-host", type=Path, metavar="PATH", help="the demo-host program")
    parser.add_argument("--turns", type=int, default=12, metavar="N", help="how many (12)")
    parser.add_argument("--serve", action="store_true", help="then stay up until Ctrl-C")
    options = parser.parse_args()
    if options.turns < 2:
        parser.error("--turns: it takes two to read something")
    signal.signal(signal.SIGTERM, interrupt)
    try:
        run(options)
    except (CallError, StartError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
