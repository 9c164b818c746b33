"""Processes that ask for the quota: the command line as it is, and programs of the Python API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from quota_server import Authority, QuotaServer

Json = Any
SECONDS = 60.0

# Resolves once for every line of standard input, `go` or a clock in Unix nanoseconds, and says how
# that went. Its configuration is its argument.
ASKER = """
import json, sys, traceback
import satchel

options = json.loads(sys.argv[1])
now = [0]
parts = {"cache_dir": options["cache_dir"], "config_dirs": options["config_dirs"]}
if options["clock"]:
    parts["clock"] = lambda: now[0]
if options["debug"]:
    parts["log"] = lambda *line: print("log", *line, file=sys.stderr, flush=True)
    parts["log_level"] = "debug"
with satchel.Cascade(options["config"], **parts) as cascade:
    print("ready", flush=True)
    for line in sys.stdin:
        now[0] = int(line) if options["clock"] else 0
        try:
            usage = cascade.resolve()
            told = {"source": usage.source.name.lower(), "data": usage.data}
            told["error"] = None if usage.error is None else usage.error.code
        except satchel.UsageUnavailable as error:
            told = {"source": None, "error": error.fault.code}
            texts = [str(error), repr(error), repr(error.args), repr(vars(error))]
            print(*texts, repr(cascade), file=sys.stderr)
            traceback.print_exc()
        print(json.dumps(told), flush=True)
    print(cascade.metrics(), file=sys.stderr)
"""

# The command line asks the real endpoint and has no option for another. This stands before it on
# the path of modules, and changes where it asks and whom it trusts there, nothing else.
ELSEWHERE = """
import json, os
import satchel._core as core

_open = core.open_cascade

def open_elsewhere(config, **parts):
    config = {**json.loads(config), **json.loads(os.environ["QUOTA_ELSEWHERE"])}
    return _open(json.dumps(config).encode(), **parts)

core.open_cascade = open_elsewhere
"""


class Places:
    """Scratch directories of an account: credentials, and the files of the cascade."""

    def __init__(self, path: Path, token: str | None = "a-token") -> None:
        self.path = path
        self.cache_dir = path / "cache"
        self.config_dir = path / "claude"
        self.config_dir.mkdir(parents=True)
        self.credentials = self.config_dir / ".credentials.json"
        if token is not None:
            oauth = {"accessToken": token, "scopes": ["user:profile"]}
            self.credentials.write_text(json.dumps({"claudeAiOauth": oauth}))

    def file(self, name: str) -> Json:
        """A file of the cascade as JSON; None where there is none."""
        try:
            return json.loads((self.cache_dir / name).read_text())
        except FileNotFoundError:
            return None


def elsewhere(server: QuotaServer, authority: Authority | None) -> dict[str, Json]:
    trusted = {} if authority is None else {"ca_file": str(authority.ca_file)}
    return {"api_base_url": server.url, **trusted}


def environment() -> dict[str, str]:
    """Ours, without what would change where anybody looks or asks."""
    names = {"CLAUDE_CONFIG_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "SSL_CERT_FILE"}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in names and not name.lower().endswith("_proxy")
    }


class Asker:
    """A process of the Python API with a cascade."""

    def __init__(
        self,
        places: Places,
        config: dict[str, Json],
        *,
        clock: bool = False,
        debug: bool = False,
    ) -> None:
        options = {
            "config": config,
            "cache_dir": str(places.cache_dir),
            "config_dirs": [str(places.config_dir)],
            "clock": clock,
            "debug": debug,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", ASKER, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            text=True,
        )

    def await_ready(self) -> None:
        assert self._line() == "ready\n", self.process.communicate()[1]

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def begin(self, clock_ns: int = 0) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{clock_ns}\n")
        self.process.stdin.flush()

    def answer(self) -> Json:
        line = self._line()
        assert line, self.process.communicate()[1]
        return json.loads(line)

    def ask(self, clock_ns: int = 0) -> Json:
        self.begin(clock_ns)
        return self.answer()

    def end(self) -> str:
        """Ends it by ending its input; what it wrote to standard error."""
        _, said = self.process.communicate(timeout=SECONDS)
        assert self.process.returncode == 0, said
        return said

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


class Asking:
    """Ends what is left of the processes of a test."""

    def __init__(self) -> None:
        self._askers: list[Asker] = []

    def start(self, places: Places, config: dict[str, Json], **options: bool) -> Asker:
        self._askers.append(Asker(places, config, **options))
        return self._askers[-1]

    def ready(self, places: Places, config: dict[str, Json], **options: bool) -> Asker:
        asker = self.start(places, config, **options)
        asker.await_ready()
        return asker

    def __enter__(self) -> Asking:
        return self

    def __exit__(self, *_: object) -> None:
        for asker in self._askers:
            if asker.process.poll() is None:
                asker.kill()


class CommandLine:
    """`python -m satchel usage`, which asks elsewhere than at the real endpoint."""

    def __init__(self, directory: Path, config: dict[str, Json]) -> None:
        modules = directory / "modules"
        modules.mkdir(parents=True, exist_ok=True)
        (modules / "sitecustomize.py").write_text(ELSEWHERE)
        self.environment = environment()
        path = self.environment.get("PYTHONPATH")
        self.environment["PYTHONPATH"] = f"{modules}:{path}" if path else str(modules)
        self.environment["QUOTA_ELSEWHERE"] = json.dumps(config)

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "satchel", "usage", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**self.environment, **variables},
            text=True,
        )

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **variables)
        out, err = process.communicate(timeout=SECONDS)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def options_of(places: Places) -> list[str]:
    return ["--cache-dir", str(places.cache_dir), "--config-dir", str(places.config_dir)]
