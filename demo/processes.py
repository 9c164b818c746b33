"""Starts programs on free ports and stops them: for the demo, the tests and the benchmark."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DEMO = Path(__file__).resolve().parent
REPOSITORY = DEMO.parent
ADDRESS = re.compile(rb"(\d+\.\d+\.\d+\.\d+):(\d+)")
SECONDS_TO_START = 20.0
SECONDS_TO_STOP = 20.0


class StartError(Exception):
    """A program did not come up; says what it wrote."""


class Server:
    """A program that listens on 127.0.0.1 and prints its address on a line of its own."""

    def __init__(self, name: str, command: Sequence[str], **popen: Any) -> None:
        self.name = name
        self._last_log = ""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115, lives as long as we do
        # A session of its own: Ctrl-C at the terminal reaches us alone, and we stop it in order.
        self.process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
            **popen,
        )
        try:
            self.port = self._await_address()
        except BaseException:
            self.stop(signal.SIGKILL)
            raise
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"

    def _await_address(self) -> int:
        assert self.process.stdout is not None
        deadline = time.monotonic() + SECONDS_TO_START
        seen = b""
        while time.monotonic() < deadline:
            if not select.select([self.process.stdout], [], [], 0.1)[0]:
                continue
            piece = os.read(self.process.stdout.fileno(), 4096)
            seen += piece
            line, newline, _ = seen.partition(b"\n")
            found = ADDRESS.search(line)
            if newline and found:
                return int(found.group(2))
            if not piece:
                break
        raise StartError(f"{self.name} printed no address\n{seen.decode()}{self.log()}")

    def log(self) -> str:
        """What it has written to standard error so far."""
        if self._log.closed:
            return self._last_log
        with open(f"/proc/self/fd/{self._log.fileno()}", "rb") as again:
            return again.read().decode("utf-8", "replace")

    def get(self, path: str, method: str = "GET") -> Any:
        """Fetches JSON from it."""
        request = urllib.request.Request(self.url + path, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as response:
            return json.load(response)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Asks it to end and waits; returns its exit status. A second call only returns that."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self._last_log = self.log()
            self._log.close()
            if self.process.stdout is not None:
                self.process.stdout.close()
        return self.process.returncode


def start_upstream(*options: str) -> Server:
    """The scripted upstream."""
    script = str(DEMO / "upstream.py")
    return Server("upstream", [sys.executable, script, "--listen", "127.0.0.1:0", *options])


def start_demo_host(
    program: Path, library: Path, upstream_url: str, *options: str, **popen: Any
) -> Server:
    """The demo host before an upstream."""
    command = [str(program), "--listen", "127.0.0.1:0", "--upstream", upstream_url]
    command += ["--library", str(library), *options]
    return Server("demo-host", command, **popen)


def find_built(pattern: str) -> Path:
    """A file of the release build. Raises StartError with what to do."""
    found = sorted((REPOSITORY / "build" / "release").glob(pattern))
    if not found:
        raise StartError(f"build/release/{pattern} is not there: run `make build` first")
    return found[0]


def built_library() -> Path:
    """libsatchel.so of the release build."""
    return find_built("**/libsatchel.so")


def built_demo_host() -> Path:
    """demo-host of the release build."""
    return find_built("**/demo-host")
