"""What passes by a gateway, others on the machine know: its headers. And what linesmith fetched."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from quota_processes import Asking, CommandLine, Places, elsewhere, environment, options_of
from quota_server import Answer, Asked, Authority, QuotaServer, serving

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reference"))

from build_reference import NotAvailableError, build
from usage_peer import UsagePeer

Json = Any
CONFIG = {"timeout_ms": 60_000, "transcripts": {"enabled": False}}
QUOTA_HEADERS = {
    "anthropic-ratelimit-unified-status": "allowed",
    "anthropic-ratelimit-unified-5h-status": "allowed",
    "anthropic-ratelimit-unified-5h-utilization": "0.25",
    "anthropic-ratelimit-unified-5h-reset": "1893502800",
    "anthropic-ratelimit-unified-7d-status": "allowed",
    "anthropic-ratelimit-unified-7d-utilization": "0.5",
    "anthropic-ratelimit-unified-7d-reset": "1893510000",
    "anthropic-ratelimit-unified-representative-claim": "five_hour",
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-4",
    "content": [{"type": "text", "text": "Hello."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 4},
}
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "claude-opus-4",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello."},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
}

# A gateway as small as can be: what comes in goes on, and what an answer's headers say is observed.
GATEWAY = """
import http.server, json, sys
import httpx
import satchel

upstream, cache_dir = sys.argv[1:]
quota = satchel.Cascade({"api_base_url": upstream}, cache_dir=cache_dir, config_dirs=[])
client = httpx.Client(base_url=upstream, trust_env=False, timeout=60)

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        passed = ("authorization", "x-api-key", "content-type", "anthropic-version")
        headers = {name: self.headers[name] for name in passed if name in self.headers}
        answer = client.post(self.path, content=body, headers=headers)
        quota.observe(answer.headers)
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers.get("content-type", "text/plain"))
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def endpoint(authority: Authority) -> Iterator[QuotaServer]:
    with serving(authority, lambda _: Answer(500)) as server:
        yield server


@pytest.fixture
def asking() -> Iterator[Asking]:
    with Asking() as asking:
        yield asking


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "account")


class Upstream:
    """The API: `headers` and `status` are those of its next answers."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = dict(QUOTA_HEADERS)
        self.paths: list[str] = []
        upstream = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                upstream.paths.append(self.path)
                said = MESSAGE if self.path == "/v1/messages" else COMPLETION
                body = json.dumps(said).encode()
                self.send_response(upstream.status)
                fields = {"Content-Type": "application/json", "Content-Length": str(len(body))}
                for name, value in {**fields, **upstream.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


@pytest.fixture
def gateway(upstream: Upstream, places: Places) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", GATEWAY, upstream.url, str(places.cache_dir)],
        stdout=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate()


def send_message(gateway: str) -> httpx.Response:
    """As the Messages API wants it."""
    question = {
        "model": "claude-opus-4",
        "max_tokens": 10,
        "messages": [{"role": "user", "content": "Hello?"}],
    }
    headers = {"x-api-key": "sk-test", "anthropic-version": "2023-06-01"}
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.post(f"{gateway}/v1/messages", json=question, headers=headers)


def test_what_a_gateway_observes_another_process_knows(
    authority: Authority,
    endpoint: QuotaServer,
    upstream: Upstream,
    gateway: str,
    asking: Asking,
    places: Places,
) -> None:
    assert send_message(gateway).json() == MESSAGE
    told = asking.ready(places, {**CONFIG, **elsewhere(endpoint, authority)}).ask()
    assert (told["source"], told["error"]) == ("headers", None)
    assert told["data"]["five_hour"] == {
        "utilization": 25.0,
        "resets_at": "2030-01-01T13:00:00Z",
    }
    assert told["data"]["seven_day"]["utilization"] == 50.0
    assert told["data"]["observed"]["representative_claim"] == "five_hour"
    assert endpoint.requests == []
    assert upstream.paths == ["/v1/messages"]


def test_every_answer_counts_whatever_its_status(
    authority: Authority,
    endpoint: QuotaServer,
    upstream: Upstream,
    gateway: str,
    asking: Asking,
    places: Places,
) -> None:
    asker = asking.ready(places, {**CONFIG, **elsewhere(endpoint, authority)})
    # Within a second what others are told is what changed the verdict.
    for status, verdict, used in (
        (200, "allowed", "0.25"),
        (429, "rejected", "1.0"),
        (529, "allowed_warning", "0.75"),
    ):
        upstream.status = status
        upstream.headers["anthropic-ratelimit-unified-status"] = verdict
        upstream.headers["anthropic-ratelimit-unified-5h-utilization"] = used
        assert send_message(gateway).status_code == status
        told = asker.ask()
        assert told["source"] == "headers"
        assert told["data"]["five_hour"]["utilization"] == float(used) * 100
    assert endpoint.requests == []


def test_through_a_real_client(
    authority: Authority,
    endpoint: QuotaServer,
    upstream: Upstream,
    gateway: str,
    places: Places,
    tmp_path: Path,
) -> None:
    client = openai.OpenAI(base_url=f"{gateway}/v1", api_key="sk-test", max_retries=0, timeout=60)
    with client:
        answer = client.chat.completions.create(
            model="claude-opus-4", messages=[{"role": "user", "content": "Hello?"}]
        )
    assert answer.choices[0].message.content == "Hello."
    assert upstream.paths == ["/v1/chat/completions"]
    command_line = CommandLine(tmp_path, elsewhere(endpoint, authority))
    shown = command_line.run(*options_of(places), "--json")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert json.loads(shown.stdout)["source"] == "headers"
    line = command_line.run("--line", *options_of(places))
    assert line.stdout.startswith("5h 25%")
    assert endpoint.requests == []


def test_headers_that_say_nothing_change_nothing(
    authority: Authority,
    endpoint: QuotaServer,
    upstream: Upstream,
    gateway: str,
    asking: Asking,
    places: Places,
) -> None:
    upstream.headers = {"anthropic-ratelimit-requests-remaining": "99"}
    endpoint.script = lambda _: Answer(200, b'{"five_hour": {"utilization": 7}}')
    assert send_message(gateway).status_code == 200
    told = asking.ready(places, {**CONFIG, **elsewhere(endpoint, authority)}).ask()
    assert (told["source"], told["data"]["five_hour"]["utilization"]) == ("endpoint", 7.0)
    assert len(endpoint.requests) == 1


# -------------------------------------------------------------------------- beside linesmith


@pytest.fixture
def linesmith(tmp_path: Path) -> Iterator[UsagePeer]:
    try:
        program = build("linesmith")
    except NotAvailableError as why:
        pytest.skip(f"the reference is not available: {why}")
    peer = UsagePeer("linesmith", [str(program)], cwd=tmp_path)
    yield peer
    assert peer.stop() == 0


def test_what_linesmith_fetched_the_command_line_shows(
    authority: Authority, linesmith: UsagePeer, places: Places, tmp_path: Path
) -> None:
    """Both in their own default directory, which is the same."""
    body = json.dumps({"five_hour": {"utilization": 61.7, "resets_at": "2030-01-01T13:00:00Z"}})

    def script(_: Asked) -> Answer:
        return Answer(200, body.encode())

    with QuotaServer(None, script) as plain, serving(authority) as endpoint:
        shared = tmp_path / "cache-home" / "linesmith"
        fetched = linesmith.resolve(
            shared, credentials={"token": "a-token"}, transport={"url": plain.url}
        )
        assert fetched["result"]["source"] == "endpoint"
        assert len(plain.requests) == 1
        command_line = CommandLine(tmp_path, elsewhere(endpoint, authority))
        where = {"XDG_CACHE_HOME": str(tmp_path / "cache-home")}
        options = ["--config-dir", str(places.config_dir)]
        shown = command_line.run(*options, "--json", **where)
        assert (shown.returncode, shown.stderr) == (0, "")
        usage = json.loads(shown.stdout)
        assert (usage["source"], usage["error"]) == ("cache", None)
        assert usage["five_hour"] == fetched["result"]["five_hour"]
        assert command_line.run(*options, "--line", **where).stdout.startswith("5h 62%")
        assert len(plain.requests) == 1
        assert endpoint.requests == []


def test_what_the_command_line_fetched_linesmith_shows(
    authority: Authority, linesmith: UsagePeer, places: Places, tmp_path: Path
) -> None:
    body = json.dumps({"five_hour": {"utilization": 61.7, "resets_at": "2030-01-01T13:00:00Z"}})
    with serving(authority, lambda _: Answer(200, body.encode())) as endpoint:
        command_line = CommandLine(tmp_path, elsewhere(endpoint, authority))
        options = [*options_of(places), "--timeout", "60"]
        shown = json.loads(command_line.run(*options, "--json").stdout)
        assert shown["source"] == "endpoint"
    found = linesmith.resolve(
        places.cache_dir, credentials={"token": "a-token"}, transport={"error": "network"}
    )
    assert found["calls"] == {"credentials": 0, "jsonl": 0, "transport": 0}
    assert found["result"]["five_hour"] == shown["five_hour"]


def test_a_refusal_that_linesmith_heard_is_one_for_the_command_line(
    authority: Authority, linesmith: UsagePeer, places: Places, tmp_path: Path
) -> None:
    linesmith.resolve(
        places.cache_dir, credentials={"token": "a-token"}, transport={"status": 403, "body": ""}
    )
    with serving(authority) as endpoint:
        command_line = CommandLine(tmp_path, elsewhere(endpoint, authority))
        shown = command_line.run(*options_of(places), "--json")
        assert shown.returncode == 1
        assert "Forbidden" in shown.stderr
        assert endpoint.requests == []
