"""`python -m satchel usage`, through a subprocess."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import satchel
from quota import HOUR, TOKEN, write_transcript

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 60.0
HEAVY = {"argparse", "asyncio", "dataclasses", "datetime", "enum", "inspect", "json", "logging",
         "re", "shutil", "subprocess", "typing"}  # fmt: skip


class Server(ThreadingHTTPServer):
    """The endpoint, on this machine."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.status = 200
        self.body = b"{}"
        self.go_on = threading.Event()
        self.go_on.set()
        self.asked = threading.Event()
        self.tokens: list[str | None] = []


class Answering(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.tokens.append(self.headers["Authorization"])
        self.server.asked.set()
        self.server.go_on.wait(PATIENCE)
        try:
            self.send_response(self.server.status)
            self.send_header("Content-Length", str(len(self.server.body)))
            self.end_headers()
            self.wfile.write(self.server.body)
        except OSError:
            pass  # whoever asked has been ended

    def log_message(self, *_: object) -> None:
        pass


class Account:
    """An account's directories, its endpoint, and the command line over them."""

    def __init__(self, directory: Path, server: Server) -> None:
        self.server = server
        self.directory = directory
        self.cache = directory / "cache"
        self.claude = directory / "claude"
        self.claude.mkdir()
        self.config = directory / "config.json"
        url = f"http://127.0.0.1:{server.server_address[1]}"
        self.config.write_text(json.dumps({"api_base_url": url}))
        self.now = datetime.now(timezone.utc).replace(microsecond=0)

    def log_in(self) -> None:
        credentials = {"claudeAiOauth": {"accessToken": TOKEN}}
        (self.claude / ".credentials.json").write_text(json.dumps(credentials))

    def know(self, *, age: timedelta = timedelta(0), **data: Any) -> None:
        """Puts a cache there."""
        self.cache.mkdir(mode=0o700, exist_ok=True)
        cached_at = (self.now - age).isoformat()
        entry = {"schema_version": 1, "cached_at": cached_at, "data": {**self.data(), **data}}
        (self.cache / "usage.json").write_text(json.dumps(entry))

    def data(self, five_hour: float = 42.3) -> dict[str, Any]:
        soon, later = self.now + 2.5 * HOUR, self.now + 77.5 * HOUR
        return {
            "five_hour": {"utilization": five_hour, "resets_at": soon.isoformat()},
            "seven_day": {"utilization": 91.0, "resets_at": later.isoformat()},
        }

    def command(self, *arguments: object, config: bool = False) -> list[str]:
        places = ["--cache-dir", self.cache, "--config-dir", self.claude]
        given = [*places, *(["--config", self.config] if config else []), *arguments]
        return [sys.executable, "-m", "satchel", "usage", *map(str, given)]

    def environment(self, **more: str) -> dict[str, str]:
        dropped = {"NO_COLOR", "TERM", "COLUMNS", "LC_ALL", "PYTHONIOENCODING"}
        kept = {name: value for name, value in os.environ.items() if name not in dropped}
        path = os.pathsep.join(filter(None, sys.path))
        # The line is to be seen as it is where its modules have been compiled.
        fixed = {"PYTHONPATH": path, "TZ": "UTC", "COLUMNS": "100", "TERM": "xterm"}
        return {**kept, **fixed, "PYTHONUTF8": "1", **more}

    def run(
        self, *arguments: object, code: int = 0, config: bool = False, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments, config=config),
            check=False,
            capture_output=True,
            encoding="utf-8",
            env=self.environment(**environment),
            timeout=PATIENCE,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert TOKEN not in done.stdout + done.stderr
        return done

    def lines(self, *arguments: object, **options: Any) -> list[str]:
        done = self.run(*arguments, **options)
        assert done.stderr == ""
        return done.stdout.splitlines()

    def on_terminal(self, *arguments: object, **environment: str) -> str:
        """What a command shows on a terminal."""
        controller, terminal = pty.openpty()
        with subprocess.Popen(
            self.command(*arguments), stdout=terminal, env=self.environment(**environment)
        ) as process:
            os.close(terminal)
            shown = b""
            while chunk := read_some(controller):
                shown += chunk
            assert process.wait(PATIENCE) == 0
        os.close(controller)
        return shown.decode()


def read_some(descriptor: int) -> bytes:
    ready, _, _ = select.select([descriptor], [], [], PATIENCE)
    assert ready, "nothing was written"
    try:
        return os.read(descriptor, 10_000)
    except OSError:  # of a terminal that nobody writes to any more
        return b""


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.go_on.set()
        made.shutdown()
        thread.join()


@pytest.fixture
def account(tmp_path: Path, server: Server) -> Account:
    return Account(tmp_path, server)


# --------------------------------------------------------------------------------------- the bars


def test_both_windows_with_percent_and_reset(account: Account) -> None:
    account.know()
    lines = account.lines()
    assert re.fullmatch(
        r"5-hour window   █+░+   42 %  resets .*\d\d:\d\d, in 2 h (29|30) min", lines[0]
    )
    assert re.fullmatch(
        r"7-day window    █+░+   91 %  resets \w{3} \d\d \w{3} \d\d:\d\d, in 3 d 5 h", lines[1]
    )
    assert lines[2] == ""
    assert re.fullmatch(r"source          usage\.json, \d+ s old", lines[3])
    assert len(lines) == 4
    assert len({len(re.sub(r"[^█░]", "", line)) for line in lines[:2]}) == 1


def test_resets_are_in_local_time(account: Account) -> None:
    account.know()
    at = re.compile(r"resets (?:.* )?(\d\d):(\d\d),")
    here, there = (at.search(account.lines(TZ=zone)[0]) for zone in ("UTC", "XYZ-3:30"))
    assert here is not None
    assert there is not None
    minutes = [60 * int(match[1]) + int(match[2]) for match in (here, there)]
    assert (minutes[1] - minutes[0]) % (24 * 60) == 210


def test_limits_of_models_extra_usage_and_what_headers_said(account: Account) -> None:
    later = (account.now + 50 * HOUR).isoformat()
    scope = {"model": {"display_name": "Fable\x1b[2J", "id": "x"}}
    account.know(
        age=timedelta(seconds=30),
        seven_day_opus={"utilization": 12.0, "resets_at": later},
        limits=[
            {"kind": "session", "percent": 42, "resets_at": later},
            {"kind": "weekly_scoped", "percent": 73, "resets_at": later, "scope": scope},
        ],
        extra_usage={
            "is_enabled": True, "utilization": 25.0, "monthly_limit": 100.0,
            "used_credits": 25.0, "currency": "USD",
        },
    )  # fmt: skip
    with satchel.Cascade(cache_dir=account.cache, config_dirs=[]) as cascade:
        prefix = "anthropic-ratelimit-unified-"
        cascade.observe(
            {
                f"{prefix}status": "allowed_warning",
                f"{prefix}representative-claim": "seven_day",
                f"{prefix}5h-utilization": "0.5",
                f"{prefix}overage-status": "rejected",
                f"{prefix}overage-disabled-reason": "org_level_disabled",
            }
        )
    done = account.run()
    lines = done.stdout.splitlines()
    assert [line[:15].strip() for line in lines] == [
        "5-hour window", "7-day window", "Fable?[2J", "Opus", "extra usage", "requests", "overage",
        "", "source",
    ]  # fmt: skip
    assert "\x1b" not in done.stdout
    assert " 50 %" in lines[0]
    assert " 73 %" in lines[2]
    assert " 12 %" in lines[3]
    assert lines[4].endswith("25 of 100 USD, 25 %")
    assert lines[5].endswith("allowed_warning, by seven_day")
    assert lines[6].endswith("rejected, org_level_disabled")
    assert "headers of the account's own answers" in lines[8]


def test_a_stale_answer_says_why(account: Account) -> None:
    account.log_in()
    account.know(age=HOUR)
    account.server.status = 500
    lines = account.lines(config=True)
    assert re.fullmatch(r"source          what was known last, 1 h 0 min old", lines[-2])
    assert lines[-1].startswith("not fresher     NetworkError: the endpoint cannot be reached")
    assert account.server.tokens == [f"Bearer {TOKEN}"]


def test_the_endpoint_is_asked(account: Account) -> None:
    account.log_in()
    account.server.body = json.dumps(account.data(7.0)).encode()
    lines = account.lines(config=True)
    assert "  7 %" in lines[0]
    assert lines[-1] == "source          the endpoint, asked just now"
    assert account.server.tokens == [f"Bearer {TOKEN}"]


def test_transcripts_give_tokens_and_say_that_nothing_else_is_known(account: Account) -> None:
    write_transcript(account.claude, (account.now - 30 * HOUR, "m", 500), (account.now, "m", 1500))
    lines = account.lines()
    assert lines[0] == "The utilisation is not known: these are tokens counted in the transcripts."
    assert lines[2] == (
        "5-hour block    2.5k tokens: 10 in, 1.5k out, 0 cached, 1.0k read from cache"
    )
    assert re.fullmatch(r" {16}ends .*\d\d:00, in 4 h \d+ min|.*in 5 h 0 min", lines[3])
    assert lines[4].startswith("7 days          4.0k tokens: 20 in, 2.0k out")
    assert lines[-2:] == [
        "source          transcripts, read just now",
        "not fresher     NoCredentials: no credentials were found; log in with Claude Code",
    ]


def test_nothing_known_says_what_to_do(account: Account) -> None:
    done = account.run(code=1)
    assert done.stdout == ""
    assert done.stderr == (
        "satchel: nothing is known: NoCredentials: "
        "no credentials were found; log in with Claude Code\n"
    )
    assert account.run("--json", code=1).stdout == ""


def test_json_is_all_of_it(account: Account) -> None:
    account.know(a_new_bucket=[1])
    printed = json.loads("\n".join(account.lines("--json")))
    assert printed["source"] == "cache"
    assert printed["five_hour"]["utilization"] == 42.3


# ------------------------------------------------------------------- with and without a terminal


def test_colours_are_for_terminals(account: Account) -> None:
    account.know()
    shown = account.on_terminal()
    assert "\x1b[32m█" in shown
    assert "\x1b[31m█" in shown  # 91 %
    assert "\x1b" not in "".join(account.lines())
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain = account.on_terminal(**environment)
        assert "\x1b" not in plain
        assert "█" in plain
    assert "\x1b[32m" in account.on_terminal(NO_COLOR="")


def test_without_utf_8_it_is_ascii(account: Account) -> None:
    account.know()
    for arguments in ([], ["--line"]):
        done = account.run(*arguments, PYTHONUTF8="0", PYTHONIOENCODING="ascii")
        assert done.stdout.isascii()
    assert "#" in account.lines(PYTHONUTF8="0", PYTHONIOENCODING="ascii")[0]


def test_json_without_utf_8_is_json(account: Account) -> None:
    name = "caf\xe9 \U0001f600"
    account.know(limits=[{"kind": "weekly_scoped", "percent": 1, "scope": {"model": {"id": name}}}])
    for encoding in ("utf-8", "ascii", "iso-8859-1"):
        done = account.run("--json", PYTHONUTF8="0", PYTHONIOENCODING=encoding)
        assert json.loads(done.stdout)["limits"][0]["scope"]["model"]["id"] == name


def test_times_that_no_calendar_here_has(account: Account) -> None:
    """Zero of other languages, and years that datetime does not know."""
    for at in ("0001-01-01T00:00:00Z", "0000-06-01T00:00:00Z", "-000001-06-01T00:00:00Z"):
        account.know(
            limits=[{"kind": "weekly_scoped", "percent": 5, "resets_at": at}],
            seven_day_opus={"utilization": 3, "resets_at": at},
        )
        lines = account.lines(TZ="XYZ+12")
        assert "  5 %" in lines[2]
        assert "  3 %" in lines[3]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_bars_fit_the_terminal(account: Account, columns: int) -> None:
    account.know()
    lines = account.lines(COLUMNS=str(columns))[:2]
    assert max(map(len, lines)) <= max(columns, 51)
    assert ("in 2 h" in lines[0]) == (columns > 40)


# --------------------------------------------------------------------------------------- the line


def test_the_line_of_a_fresh_cache(account: Account) -> None:
    account.know()
    [line] = account.lines("--line")
    assert re.fullmatch(r"5h 42% ↻\d\d:\d\d · 7d 91% ↻[A-Z][a-z]{2} \d\d:\d\d", line)
    [line] = account.lines("--line", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert re.fullmatch(r"5h 42% @\d\d:\d\d \| 7d 91% @[A-Z][a-z]{2} \d\d:\d\d", line)


def test_the_line_imports_nothing_that_costs(account: Account) -> None:
    account.know()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *account.command("--line")[1:]],
        check=True,
        capture_output=True,
        encoding="utf-8",
        env=account.environment(),
    )
    imported = re.findall(r"\| +(\S+)$", done.stderr, re.M)
    own = {name for name in imported if name.startswith("satchel")}
    assert own == {"satchel", "satchel._core", "satchel._cli", "satchel._cli.usage_line"}
    bare = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import runpy"],
        check=True,
        capture_output=True,
        encoding="utf-8",
        env=account.environment(),
    )
    assert HEAVY & set(imported) <= set(re.findall(r"\| +(\S+)$", bare.stderr, re.M))


def test_a_stale_line_comes_at_once_and_the_next_one_is_fresh(account: Account) -> None:
    """The endpoint answers only after the line, and the process that printed it, are there."""
    account.log_in()
    account.know(age=HOUR)
    account.server.body = json.dumps(account.data(7.0)).encode()
    account.server.go_on.clear()
    [line] = account.lines("--line", "--timeout", "60", config=True)
    assert re.fullmatch(r"5h 42% ↻\d\d:\d\d · 7d 91% ↻\w+ \d\d:\d\d · stale 1h", line)
    assert account.server.asked.wait(PATIENCE)
    account.server.go_on.set()
    usage = account.cache / "usage.json"
    wait_until(lambda: json.loads(usage.read_text())["data"]["five_hour"]["utilization"] == 7.0)
    [line] = account.lines("--line", config=True)
    assert line.startswith("5h 7% ")
    assert "stale" not in line
    assert account.server.tokens == [f"Bearer {TOKEN}"]


def test_a_stale_line_asks_nobody_while_the_endpoint_is_to_be_left_alone(account: Account) -> None:
    account.log_in()
    account.know(age=HOUR)
    until = int(time.time()) + 3000
    lock = json.dumps({"blocked_until": until, "error": "RateLimited"})
    (account.cache / "usage.lock").write_text(lock)
    assert account.lines("--line", config=True)[0].endswith("stale 1h")
    assert account.server.tokens == []


def test_without_a_cache_the_line_waits_for_the_endpoint(account: Account) -> None:
    account.log_in()
    account.server.body = json.dumps(account.data(7.0)).encode()
    assert account.lines("--line", config=True)[0].startswith("5h 7% ")
    assert len(account.server.tokens) == 1


def test_the_line_of_transcripts(account: Account) -> None:
    write_transcript(account.claude, (account.now - 30 * HOUR, "m", 500))
    assert account.lines("--line") == ["5h idle · 7d 1.5k tokens"]
    write_transcript(account.claude, (account.now - 30 * HOUR, "m", 500), (account.now, "m", 1))
    assert account.lines("--line") == ["5h 1.0k tokens · 7d 2.5k tokens"]


def test_the_line_of_nothing(account: Account) -> None:
    done = account.run("--line", code=1)
    assert done.stdout == "usage unknown: NoCredentials\n"
    assert (
        done.stderr
        == "satchel: NoCredentials: no credentials were found; log in with Claude Code\n"
    )
    account.log_in()
    account.server.status = 401
    done = account.run("--line", code=1, config=True)
    assert done.stdout == "usage unknown: Unauthorized\n"


def test_the_line_without_a_reader(account: Account) -> None:
    account.know()
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        account.command("--line"),
        check=False,
        stdout=writer,
        stderr=subprocess.PIPE,
        env=account.environment(),
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--line",), ("--report",)])
def test_a_standard_output_that_is_closed(used: Account, arguments: tuple[str, ...]) -> None:
    used.know()
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" >&-', "sh", *used.command(*arguments)],
        check=False,
        stderr=subprocess.PIPE,
        env=used.environment(),
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_where_standard_error_is_closed_standard_output_has_the_answer_alone(
    account: Account,
) -> None:
    for arguments, answer in (((), b""), (("--line",), b"usage unknown: NoCredentials\n")):
        done = subprocess.run(
            ["/bin/sh", "-c", '"$@" 2>&-', "sh", *account.command(*arguments)],
            check=False,
            stdout=subprocess.PIPE,
            env=account.environment(),
        )
        assert (done.returncode, done.stdout) == (1, answer)


def test_the_quick_way_and_the_parsers_way_are_one() -> None:
    from satchel._cli.usage_line import plain_options

    def options(*arguments: str) -> Any:
        read = plain_options(arguments)
        return None if read is None else (read.cache_dir, read.config_dirs, read.timeout)

    assert options("--line") == (None, None, 2.0)
    assert options("--line", "--cache-dir", "a", "--config-dir=b", "--config-dir", "c") == (
        "a", ["b", "c"], 2.0,
    )  # fmt: skip
    assert options("--timeout", "5", "--line")[2] == 5.0
    for arguments in (
        ["--line", "--json"], ["--line=5"], ["--line", "-h"], ["--line", "--cache-dir"],
        ["--line", "--timeout", "0"], ["--line", "--timeout", "5m"], ["--line", "x"],
        ["--line", "--cache-dir", "--json"], ["--line", "--timeout", "²"],
    ):  # fmt: skip
        assert options(*arguments) is None


def test_short_forms() -> None:
    from satchel._cli.usage_line import short_age, short_count

    counts = [0, 999, 1000, 1500, 999_949, 999_951, 12_345_678, 5 * 10**9, 7 * 10**12]
    assert [short_count(count) for count in counts] == [
        "0", "999", "1.0k", "1.5k", "999.9k", "1.0M", "12.3M", "5.0G", "7.0T",
    ]  # fmt: skip
    assert [short_age(age) for age in (0, 59, 60, 3599, 3600, 90_000)] == [
        "0s", "59s", "1m", "59m", "1h", "1d",
    ]  # fmt: skip


# -------------------------------------------------------------------------------------- the watch


def test_watch_draws_in_place_until_ctrl_c(account: Account) -> None:
    account.know()
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        account.command("--watch", "1"),
        stdout=terminal,
        stderr=subprocess.PIPE,
        env=account.environment(COLUMNS="60"),
    ) as process:
        os.close(terminal)
        shown = b""
        while b"\x1b[4F\x1b[J" not in shown or shown.count(b"source") < 2:
            shown += read_some(controller)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
    os.close(controller)
    plain = re.sub(r"\x1b\[[0-9;]*[a-zA-Z]", "", shown.decode())
    assert max(map(len, plain.splitlines())) < 60


def test_watch_goes_on_while_nothing_is_known(account: Account) -> None:
    with subprocess.Popen(
        account.command("--watch", "1", "--json"), stdout=subprocess.PIPE, env=account.environment()
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"source": "none", "error": "NoCredentials"}
        account.know()
        while json.loads(process.stdout.readline())["source"] == "none":
            pass
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("arguments", [["--watch", "1"], []])
def test_ctrl_c_does_not_wait_for_the_endpoint(account: Account, arguments: list[str]) -> None:
    """The endpoint answers only after the process has ended."""
    account.log_in()
    account.server.go_on.clear()
    command = account.command(*arguments, "--timeout", "600", config=True)
    # Started by a shell in the background, this test would hand an ignored Ctrl-C down.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=account.environment()
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        assert account.server.asked.wait(PATIENCE)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0 if arguments else 130, b"", b"")


# ------------------------------------------------------------------------------------- the report


@pytest.fixture
def used(account: Account) -> Account:
    day = datetime(2026, 4, 10, tzinfo=timezone.utc)
    write_transcript(
        account.claude,
        (day + timedelta(hours=1), "opus", 1),
        (day + timedelta(hours=2), "so\x1bnnet", 20),
        (day + timedelta(hours=23, minutes=30), "opus", 300),
        (day + timedelta(days=3), "opus", 4000),
    )
    return account


def cells(lines: list[str], *columns: int) -> list[list[str]]:
    return [[line.split()[column] for column in columns] for line in lines]


def test_a_report_by_day(used: Account) -> None:
    lines = used.lines("--report")
    assert lines[0].split() == [
        "day", "input", "output", "cached", "cache", "read", "messages"
    ]  # fmt: skip
    assert cells(lines[1:], 0, 2, 5) == [
        ["2026-04-10", "321", "3"],
        ["2026-04-13", "4,000", "1"],
        ["all", "4,321", "4"],
    ]
    east = used.lines("--report", TZ="XYZ-1")
    assert cells(east[1:], 0)[:2] == [["2026-04-10"], ["2026-04-11"]]


def test_a_report_by_model_and_by_block(used: Account) -> None:
    assert cells(used.lines("--report", "--by", "model")[1:], 0, 2) == [
        ["opus", "4,301"],
        ["so?nnet", "20"],
        ["all", "4,321"],
    ]
    blocks = used.lines("--report", "--by", "block")
    assert blocks[1].startswith("2026-04-10 01:00  2026-04-10 06:00 ")
    assert len(blocks) == 1 + 3 + 1


def test_a_report_of_blocks_that_no_calendar_here_has(account: Account) -> None:
    first = account.claude / "projects" / "w" / "s.jsonl"
    first.parent.mkdir(parents=True)
    line = '{"timestamp":"-000001-01-02T03:00:00Z","message":{"usage":{"input_tokens":5}}}'
    first.write_text(f"{line}\n")
    blocks = account.lines("--report", "--by", "block")
    assert blocks[1].split()[:3] == ["-000001-01-02T03:00:00Z", "-000001-01-02T08:00:00Z", "5"]


def test_a_report_of_a_range(used: Account) -> None:
    def messages(*arguments: str) -> int:
        report = json.loads(used.run("--report", "--json", *arguments).stdout)
        return int(report["total"]["messages"])

    assert messages() == 4
    assert messages("--since", "2026-04-10T02:00") == 3
    assert messages("--since", "2026-04-10", "--until", "2026-04-10") == 3
    assert messages("--until", "2026-04-10T23:00") == 2
    assert messages("--since", "1h") == 0
    assert messages("--since", "0001-01-02", "--until", "9998-01-01") == 4


def test_a_report_of_nothing(account: Account) -> None:
    done = account.run("--report", code=1)
    assert done.stdout == ""
    assert "; --config-dir names other places" in done.stderr


# ---------------------------------------------------------------------------------------- trouble


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--line", "--json"], "--line goes alone"),
        (["--line", "--watch"], "--line goes alone"),
        (["--report", "--watch"], "do not go together"),
        (["--by", "model"], "--by is for --report"),
        (["--since", "7d"], "--since and --until are for --report"),
        (["--report", "--since", "yesterday"], "is no date; write 2026-11-20"),
        (["--report", "--since", "999999999999w"], "is no date; write 2026-11-20"),
        (["--report", "--by", "week"], "invalid choice"),
        (["--watch", "0"], "is not between 1 and 86400 seconds"),
        (["--timeout", "0"], "is not between 0.001 and 86400 seconds"),
        (["--config", "nowhere.json"], "nowhere.json: No such file"),
        (["--config", "/dev/null"], "/dev/null is not JSON"),
    ],
)
def test_wrong_usage(account: Account, arguments: list[str], said: str) -> None:
    assert said in account.run(*arguments, code=2).stderr


def test_the_line_says_what_is_wrong_without_a_traceback(account: Account) -> None:
    done = account.run("--line", "--config-dir=", code=2)
    assert done.stderr.startswith("satchel: config_dirs")
    assert done.stderr.count("\n") == 1


def test_a_wrong_configuration(account: Account) -> None:
    account.config.write_text('{"cache_duration": 5}')
    for arguments in ([], ["--line"], ["--report"]):
        assert "cache_duration: unknown key" in account.run(*arguments, code=2, config=True).stderr


@pytest.mark.parametrize("status", [200, 401, 403, 429, 500])
@pytest.mark.parametrize("body", [b"{}", TOKEN.encode()])
def test_no_output_has_the_token(account: Account, status: int, body: bytes) -> None:
    """`run` looks for it in all that is printed."""
    account.log_in()
    account.server.status, account.server.body = status, body
    for arguments in ([], ["--json"], ["--line"], ["--report"]):
        for kept in account.cache.glob("usage.*"):
            kept.unlink()
        done = subprocess.run(
            account.command(*arguments, config=True),
            check=False,
            capture_output=True,
            env=account.environment(),
        )
        assert done.returncode in (0, 1)
        assert TOKEN.encode() not in done.stdout + done.stderr
    for kept in account.cache.iterdir():
        assert TOKEN.encode() not in kept.read_bytes()
    assert f"Bearer {TOKEN}" in account.server.tokens
