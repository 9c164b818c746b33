"""An OpenAI-compatible upstream with scripted answers, for the demo and the end-to-end tests.

    python demo/upstream.py --listen 127.0.0.1:0

It answers POST /v1/chat/completions, streamed token by token or whole, and GET /v1/models. A body
that still carries a cache_control marker is refused with 400, as strict backends do. Every other
path echoes the request's body.

A request can ask for trouble with the header `x-upstream-script`, a list of `name` or
`name=value` (see Script). What arrived, and what became of it, is told under /control/.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import hashlib
import json
import signal
import sys
import zlib
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import scripted_model
from http_server import Reply, Request, serve
from scripted_model import Answer

Json = Any

JSON_TYPE = "application/json"
SSE_TYPE = "text/event-stream; charset=utf-8"
RECORDED_REQUESTS = 1000
RECORDED_BODY_BYTES = 256 * 1024
ENDLESS_EVENT_BYTES = 16 * 1024 * 1024

FAULTS = {
    "die": "the connection ends in the middle of the answer",
    "drop": "the connection ends before the answer",
    "hang": "nothing more comes; waits for the client to hang up",
    "error-frame": "an error inside the stream, which then goes on to its usage",
    "endless": "tokens without end",
    "endless-event": "one event without end",
}
USAGES = {
    "last": "one frame at the end, where the client asked for it",
    "every": "with every token",
    "none": "never",
    "provider": "with the provider's own cache accounting",
}


@dataclass(frozen=True)
class Script:
    """What a request wants to happen to it."""

    tokens: int | None = None  # length of the answer
    after: int = 3  # frames that go out before the fault or the gate
    fault: str = ""  # one of FAULTS
    gate: str = ""  # stops until POST /control/gate/NAME
    end_gate: str = ""  # the same, after [DONE] and before the end of the body
    slow: int = -1  # milliseconds between two tokens; -1: as the server was started
    usage: str = "last"  # one of USAGES
    status: int = 200  # another one: an error as JSON
    crlf: bool = False  # lines of a stream end with CR LF
    gzip: bool = False  # compressed, asked for or not
    hop: bool = False  # hop-by-hop headers in the answer

    @staticmethod
    def parse(text: str) -> Script:
        """Reads `tokens=5, fault=die, crlf`. Raises ValueError with what is wrong."""
        known = {field.name: field for field in dataclasses.fields(Script)}
        values: dict[str, Any] = {}
        for item in filter(None, (item.strip() for item in text.split(","))):
            name, equals, value = item.partition("=")
            if name not in known:
                raise ValueError(f"unknown script item {name!r}")
            if known[name].type == "bool":
                values[name] = True
            elif not equals:
                raise ValueError(f"script item {name!r} needs a value")
            else:
                values[name] = value if known[name].type == "str" else int(value)
        script = Script(**values)
        if script.fault and script.fault not in FAULTS:
            raise ValueError(f"unknown fault {script.fault!r}")
        if script.usage not in USAGES:
            raise ValueError(f"unknown usage {script.usage!r}")
        return script


def error_json(message: str, kind: str, param: str | None = None, code: str | None = None) -> bytes:
    """An error as OpenAI words it."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    return json.dumps({"error": error}).encode()


def stream_events(body: Json, script: Script, answer: Answer, usage: Json) -> Iterator[bytes]:
    """The events of a streamed answer, one after the other."""
    options = body.get("stream_options")
    asked = isinstance(options, dict) and options.get("include_usage") is True
    sends_usage = script.usage != "none" and (asked or script.usage == "every")
    eol = b"\r\n" if script.crlf else b"\n"

    def event(choices: list[Json], usage_object: Json | None) -> bytes:
        frame = scripted_model.chunk(answer, choices, usage_object)
        if not sends_usage:
            del frame["usage"]
        return b"data: " + json.dumps(frame, ensure_ascii=False).encode() + eol + eol

    def running(completion_tokens: int) -> Json | None:
        if script.usage != "every":
            return None
        total = usage["prompt_tokens"] + completion_tokens
        return {**usage, "completion_tokens": completion_tokens, "total_tokens": total}

    for n, delta in enumerate(answer.deltas()):
        if script.fault == "error-frame" and n == script.after:
            error = error_json("The server had an error while processing", "server_error")
            yield b"data: " + error + eol + eol
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        yield event([choice], running(n))
    last = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": answer.finish_reason}
    yield event([last], running(answer.completion_tokens))
    if sends_usage:
        yield event([], usage)
    yield b"data: [DONE]" + eol + eol


class Upstream:
    """The server's state and its routes."""

    def __init__(self, token_delay_ms: int) -> None:
        self._token_delay_ms = token_delay_ms
        self._engine_cache = scripted_model.EnginePrefixCache()
        self._records: deque[Json] = deque(maxlen=RECORDED_REQUESTS)
        self._gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._waiting: Counter[str] = Counter()
        self._in_flight = 0

    async def handle(self, request: Request, reply: Reply) -> None:
        """Answers one request."""
        if request.path.startswith("/control/"):
            await self._control(request, reply)
            return
        record = self._record(request)
        self._in_flight += 1
        try:
            if request.path == "/v1/models" and request.method == "GET":
                await self._models(reply)
            elif request.path == "/v1/chat/completions" and request.method == "POST":
                await self._chat(request, reply)
            else:
                await self._echo(request, reply)
            record["outcome"] = "broken_off" if reply.broken_off else "complete"
        except ConnectionError:
            record["outcome"] = "client_gone"
            raise
        finally:
            self._in_flight -= 1

    def _record(self, request: Request) -> Json:
        kept = len(request.body) <= RECORDED_BODY_BYTES
        record = {
            "method": request.method,
            "target": request.target,
            "headers": request.headers,
            "body_bytes": len(request.body),
            "body_sha256": hashlib.sha256(request.body).hexdigest(),
            "body": request.body.decode("utf-8", "backslashreplace") if kept else None,
            "outcome": "in_flight",
        }
        self._records.append(record)
        return record

    # ------------------------------------------------------------- answers

    async def _models(self, reply: Reply) -> None:
        model = {"id": "m-1", "object": "model", "created": scripted_model.CREATED}
        listing = {"object": "list", "data": [{**model, "owned_by": "scripted"}]}
        await reply.whole(200, JSON_TYPE, json.dumps(listing).encode())

    async def _echo(self, request: Request, reply: Reply) -> None:
        """Whatever it is: the body comes back as it was."""
        content_type = request.header("content-type") or "text/plain"
        headers = [("X-Echo-Method", request.method), ("X-Echo-Target", request.target)]
        if Script.parse(request.header("x-upstream-script")).hop:
            # "close" is a promise about this connection; what is named beside it stays on it too.
            headers += [("Connection", "X-This-Hop"), ("X-This-Hop", "1")]
            headers += [("Keep-Alive", "timeout=5"), ("X-End-To-End", "1")]
        await reply.whole(200, content_type, request.body, headers)

    async def _chat(self, request: Request, reply: Reply) -> None:
        try:
            body = json.loads(request.body)
            script = Script.parse(request.header("x-upstream-script"))
            if not isinstance(body, dict):
                raise ValueError("the body is no object")
        except ValueError as wrong:
            await self._refuse(reply, str(wrong), None, "invalid_json")
            return
        marker = scripted_model.refused_marker(body)
        if marker:
            message = f"Unrecognized request argument supplied: {marker}"
            await self._refuse(reply, message, marker, "unknown_parameter")
            return
        if script.status != 200:
            await self._pause(script, reply)
            body_of_error = error_json("The engine is overloaded", "server_error")
            await reply.whole(script.status, JSON_TYPE, body_of_error)
            return
        answer = scripted_model.answer(body, script.tokens)
        usage = self._usage(body, answer, script)
        if body.get("stream") is True:
            await self._stream(reply, script, stream_events(body, script, answer, usage))
        else:
            whole = scripted_model.completion(answer, None if script.usage == "none" else usage)
            await self._whole(reply, script, json.dumps(whole, ensure_ascii=False).encode())

    async def _refuse(self, reply: Reply, message: str, param: str | None, code: str) -> None:
        refusal = error_json(message, "invalid_request_error", param, code)
        await reply.whole(400, JSON_TYPE, refusal)

    def _usage(self, body: Json, answer: Answer, script: Script) -> Json:
        cached = self._engine_cache.cached_tokens(body)
        usage = scripted_model.usage(body, answer.completion_tokens, cached)
        if script.usage == "provider":
            usage["cache_read_input_tokens"] = cached
            usage["cache_creation_input_tokens"] = 77
            usage["cache_creation"] = {"ephemeral_5m_input_tokens": 77}
            usage["prompt_cache_hit_tokens"] = cached
            usage["prompt_cache_miss_tokens"] = usage["prompt_tokens"] - cached
            usage["cache_discount"] = 0.25
        return usage

    async def _whole(self, reply: Reply, script: Script, body: bytes) -> None:
        headers = []
        if script.gzip:
            body = _gzip(body)
            headers = [("Content-Encoding", "gzip")]
        await self._pause(script, reply)
        if script.fault == "drop":
            await reply.break_off()
        elif script.fault == "die":
            await reply.half(200, JSON_TYPE, body)
        else:
            await reply.whole(200, JSON_TYPE, body, headers)

    async def _stream(self, reply: Reply, script: Script, events: Iterator[bytes]) -> None:
        if script.fault == "drop":
            await reply.break_off()
            return
        gzip = zlib.compressobj(wbits=31) if script.gzip else None
        encoding = [("Content-Encoding", "gzip")] if gzip else []
        await reply.begin(200, SSE_TYPE, [("Cache-Control", "no-cache"), *encoding])
        delay = (self._token_delay_ms if script.slow < 0 else script.slow) / 1000
        for n, event in enumerate(events):
            if n == script.after:
                await self._pause(script, reply)
                if script.fault == "die":
                    await reply.break_off()
                    return
                if script.fault == "endless-event":
                    await _send_endless_event(reply)
                while script.fault == "endless":
                    await reply.chunk(event)
                    await asyncio.sleep(max(delay, 0.001))
            out = gzip.compress(event) + gzip.flush(zlib.Z_SYNC_FLUSH) if gzip else event
            await reply.chunk(out)
            await asyncio.sleep(delay)
        if gzip:
            await reply.chunk(gzip.flush())
        await self._pass(script.end_gate)
        await reply.end()

    async def _pause(self, script: Script, reply: Reply) -> None:
        """Waits where the script says so, until it is let go or the client hangs up."""
        if script.fault == "hang":
            await reply.client_gone()
            raise ConnectionResetError
        await self._pass(script.gate)

    async def _pass(self, gate: str) -> None:
        if not gate:
            return
        self._waiting[gate] += 1
        try:
            await self._gates[gate].wait()
        finally:
            self._waiting[gate] -= 1

    # ------------------------------------------------------------- control

    async def _control(self, request: Request, reply: Reply) -> None:
        name = request.path[len("/control/") :]
        answer: Json = {}
        status = 200
        if name == "requests" and request.method == "GET":
            answer = list(self._records)
        elif name == "state" and request.method == "GET":
            answer = {"in_flight": self._in_flight, "waiting": dict(+self._waiting)}
        elif name == "reset" and request.method == "POST":
            self._records.clear()
            self._gates.clear()
            self._engine_cache.clear()
        elif name.startswith("gate/") and request.method == "POST":
            self._gates[name[len("gate/") :]].set()
        else:
            status = 404
        await reply.whole(status, JSON_TYPE, json.dumps(answer).encode())


def _gzip(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=31)
    return compressor.compress(data) + compressor.flush()


async def _send_endless_event(reply: Reply) -> None:
    await reply.chunk(b'data: {"choices":[{"index":0,"delta":{"content":"')
    for _ in range(ENDLESS_EVENT_BYTES // 4096):
        await reply.chunk(b"x" * 4096)
    await reply.break_off()
    raise ConnectionResetError


async def run(host: str, port: int, token_delay_ms: int) -> None:
    """Serves until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    server = await serve(Upstream(token_delay_ms).handle, host, port)
    bound_host, bound_port = server.sockets[0].getsockname()[:2]
    print(f"listening on http://{bound_host}:{bound_port}", flush=True)
    await stop.wait()
    server.close()


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description="OpenAI-compatible upstream, scripted")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--token-delay-ms", type=int, default=0, metavar="N")
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(host, int(port), options.token_delay_ms))
    return 0


if __name__ == "__main__":
    sys.exit(main())
