"""PostgreSQL and Redis on free ports of 127.0.0.1, for the tests and the benchmark."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from processes import StartError

SECONDS_TO_START = 60.0
SECONDS_TO_STOP = 30.0


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def find_program(name: str, *patterns: str) -> str:
    """Where it is; the newest where there are several. Debian keeps PostgreSQL's off the path."""
    found = shutil.which(name)
    if found:
        return found
    for pattern in patterns:
        places = sorted(Path("/").glob(pattern.lstrip("/")))
        if places:
            return str(places[-1])
    raise StartError(f"{name} is not installed: run `make deps`")


def wait_for(
    condition: Callable[[], bool], what: str, process: subprocess.Popen[bytes], log: Path
) -> None:
    """Waits until it holds. Raises StartError with the log when the process ends before."""
    deadline = time.monotonic() + SECONDS_TO_START
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            raise StartError(f"{what} does not come up\n{log.read_text(errors='replace')}")
        time.sleep(0.02)


class _Program:
    """A server that can be stopped, killed and started again on its port."""

    def __init__(self) -> None:
        self.port = free_port()
        self._directory = tempfile.TemporaryDirectory(prefix="satchel-index-")
        self.directory = Path(self._directory.name)
        self.log = self.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.directory,
            )
        return self._process

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Ends it, with SIGKILL all at once; what it keeps on disk stays."""
        if self._process is None:
            return
        if number == signal.SIGKILL:
            os.killpg(self._process.pid, number)
        else:
            self._process.send_signal(number)
        try:
            self._process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def remove(self) -> None:
        """Stops it for good."""
        self.stop()
        self._directory.cleanup()


class Postgres(_Program):
    """A PostgreSQL of its own, without durability: the tests kill processes, not machines."""

    def __init__(self) -> None:
        super().__init__()
        # It refuses to run as root.
        self._as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]
        if os.geteuid() == 0:
            shutil.chown(self.directory, "postgres", "postgres")
        else:
            self._as_user = []
        places = "/usr/lib/postgresql/*/bin/"
        self._postgres = find_program("postgres", places + "postgres")
        initdb = find_program("initdb", places + "initdb")
        data = str(self.directory / "data")
        command = [*self._as_user, initdb, "-D", data, "-U", "satchel", "-A", "trust", "--no-sync"]
        command += ["-E", "UTF8", "--locale=C"]
        subprocess.run(command, check=True, capture_output=True, cwd=self.directory)
        self._data = data
        self.url = f"postgresql://satchel@127.0.0.1:{self.port}/postgres"
        try:
            self.start()
        except BaseException:
            self.remove()
            raise

    def start(self) -> None:
        """Starts it and waits until it answers."""
        command = [*self._as_user, self._postgres, "-D", self._data, "-p", str(self.port)]
        for setting in (
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self.directory}",
            "fsync=off",
            "full_page_writes=off",
            "shared_buffers=64MB",
        ):
            command += ["-c", setting]
        process = self._spawn(command)
        wait_for(self._answers, "PostgreSQL", process, self.log)

    def _answers(self) -> bool:
        return self._psql("SELECT 1").returncode == 0

    def _psql(self, statement: str) -> subprocess.CompletedProcess[str]:
        command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.url]
        return subprocess.run(
            [*command, "-c", statement],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=self.directory,
        )

    def query(self, statement: str) -> str:
        """The rows, a line each, columns apart by a bar."""
        done = self._psql(statement)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()


class Redis(_Program):
    """A Redis that keeps nothing on disk."""

    def __init__(self) -> None:
        super().__init__()
        self.url = f"redis://127.0.0.1:{self.port}"
        try:
            self.start()
        except BaseException:
            self.remove()
            raise

    def start(self) -> None:
        """Starts it and waits until it answers."""
        server = find_program("redis-server")
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly"]
        process = self._spawn([server, *options, "no", "--dir", str(self.directory)])
        wait_for(self._answers, "Redis", process, self.log)

    def _answers(self) -> bool:
        try:
            return self.command("PING") == "PONG"
        except (OSError, RuntimeError):
            return False

    def command(self, *words: str) -> str:
        """What redis-cli prints."""
        done = subprocess.run(
            ["redis-cli", "-h", "127.0.0.1", "-p", str(self.port), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr or done.stdout)
        return done.stdout.strip()
