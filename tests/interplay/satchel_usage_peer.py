"""The library as a program that speaks like the reference of the usage cascade
(tests/reference/README.md): `resolve`, `parse_usage` and `parse_credentials`.

What the library's own parts do is not counted: `calls` has null for a source that is built in.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable

import satchel

Json = Any

# As the reference counts transcripts.
TRANSCRIPTS = {"dedup": "first", "depth": 1}
BUCKETS = ("five_hour", "seven_day", "seven_day_opus", "seven_day_sonnet", "seven_day_oauth_apps")
MEMBERS = (*BUCKETS, "extra_usage", "limits", "unknown_buckets")
FAULTS = {fault.code: fault for fault in satchel.UsageFault}
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def bytes_in(request: Json, name: str) -> bytes | None:
    if request.get(f"{name}_b64") is not None:
        return base64.b64decode(request[f"{name}_b64"])
    text = request.get(name)
    return None if text is None else text.encode()


def config_dirs(places: Json) -> list[bytes]:
    """In the order in which everybody looks."""
    config_dir, xdg, home = (
        bytes_in(places, name) for name in ("config_dir", "xdg_config_home", "home")
    )
    dirs = [config_dir] if config_dir else []
    if xdg:
        dirs.append(xdg + b"/claude")
    elif home:
        dirs.append(home + b"/.config/claude")
    return [*dirs, home + b"/.claude"] if home else dirs


def unix_ns(text: str) -> int:
    """Of a time with up to nine digits of a second, UTC."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    since = datetime.fromisoformat(whole).replace(tzinfo=timezone.utc) - EPOCH
    return since // timedelta(seconds=1) * 10**9 + int(fraction.ljust(9, "0") or 0)


class Sources:
    """Of one resolve, as a command describes them, and how often each was asked."""

    def __init__(self, request: Json) -> None:
        self.asked: Json = None
        self.calls: dict[str, int | None] = {"credentials": 0, "jsonl": 0, "transport": 0}
        self.dirs: list[bytes] = []
        self.config: dict[str, Any] = {"transcripts": TRANSCRIPTS}
        self.parts: dict[str, Any] = {}
        self._credentials(request["credentials"])
        self._transport(request["transport"])
        self._transcripts(request.get("jsonl") or "none")

    def _called(self, name: str) -> None:
        self.calls[name] = (self.calls[name] or 0) + 1

    def _credentials(self, given: Json) -> None:
        if "token" not in given and "error" not in given:
            self.calls["credentials"] = None
            self.dirs = config_dirs(given)
            return

        def token() -> str | satchel.UsageFault:
            self._called("credentials")
            return FAULTS[given["error"]] if "error" in given else str(given["token"])

        self.parts["credentials"] = token

    def _transport(self, given: Json) -> None:
        if "url" in given:
            self.calls["transport"] = None
            self.config["api_base_url"] = given["url"]
            return

        def send(request: satchel.HttpRequest) -> satchel.HttpAnswer:
            self._called("transport")
            token = dict(request.headers)["Authorization"].removeprefix("Bearer ")
            self.asked = {"url": request.url, "token": token}
            if "error" in given:
                raise TimeoutError if given["error"] == "timeout" else ConnectionRefusedError
            retry_after = given.get("retry_after")
            headers = [] if retry_after is None else [("Retry-After", retry_after)]
            return satchel.HttpAnswer(
                given["status"], headers=headers, body=bytes_in(given, "body") or b""
            )

        self.parts["http"] = send

    def _transcripts(self, given: Json) -> None:
        if given != "none":
            self.calls["jsonl"] = None
            self.dirs = self.dirs or config_dirs(given)
            return

        def none(_: datetime) -> None:
            self._called("jsonl")

        self.parts["transcripts"] = none


def resolve(request: Json) -> Json:
    sources = Sources(request)
    cache_dir = bytes_in(request, "cache_dir")
    for name in ("timeout_ms", "cache_duration_s"):
        if request.get(name) is not None:
            sources.config[name] = request[name]
    if request.get("base_url") is not None:
        sources.config["api_base_url"] = request["base_url"]
    if request.get("now") is not None:
        now = unix_ns(request["now"])
        sources.parts["clock"] = lambda: now
    cascade = satchel.Cascade(
        {**sources.config, "cache": cache_dir is not None},
        cache_dir=cache_dir,
        config_dirs=sources.dirs,
        **sources.parts,
    )
    with cascade:
        result = resolved(cascade)
    return {"result": result, "calls": sources.calls, "asked": sources.asked}


def resolved(cascade: satchel.Cascade) -> Json:
    try:
        usage = cascade.resolve()
    except satchel.UsageUnavailable as error:
        return {"error": error.fault.code}
    if usage.source != satchel.UsageSource.JSONL:
        return {
            "source": "endpoint",
            "from": usage.source.name.lower(),
            **{name: usage.data[name] for name in MEMBERS},
        }
    five_hour, seven_day = usage.data["five_hour"], usage.data["seven_day"]
    if five_hour is not None:
        five_hour = {name: five_hour[name] for name in ("start", "tokens")}
    return {"source": "jsonl", "five_hour": five_hour, "seven_day": {"tokens": seven_day["tokens"]}}


class Parser:
    """One cascade, for what is read out of texts: opening one for each would take longer."""

    def __init__(self) -> None:
        self._body = b"{}"
        self._token: str | None = None
        self._dir = tempfile.TemporaryDirectory()
        self._file = Path(self._dir.name, ".credentials.json")
        config = {"cache": False, "transcripts": {"enabled": False}}
        self._usage = satchel.Cascade(config, credentials=lambda: "token", http=self._answer)
        self._credentials = satchel.Cascade(
            config, config_dirs=[self._dir.name], http=self._note_token
        )

    def close(self) -> None:
        self._usage.close()
        self._credentials.close()
        self._dir.cleanup()

    def _answer(self, _: satchel.HttpRequest) -> satchel.HttpAnswer:
        return satchel.HttpAnswer(200, body=self._body)

    def _note_token(self, request: satchel.HttpRequest) -> satchel.HttpAnswer:
        self._token = dict(request.headers)["Authorization"].removeprefix("Bearer ")
        return satchel.HttpAnswer(500)

    def usage(self, request: Json) -> Json:
        self._body = bytes_in(request, "body") or b""
        try:
            data = self._usage.resolve().data
        except satchel.UsageUnavailable as error:
            if error.fault != satchel.UsageFault.PARSE_ERROR:
                raise
            return {"is": None}
        written = {name: data[name] for name in MEMBERS if name != "unknown_buckets"}
        return {"is": {**data["unknown_buckets"], **written}}

    def credentials(self, request: Json) -> Json:
        self._file.write_bytes(bytes_in(request, "body") or b"")
        self._token = None
        try:
            self._credentials.resolve()
        except satchel.UsageUnavailable as error:
            if self._token is not None:
                return {"is": {"token": self._token}}
            return {"is": None, "code": error.fault.code}
        raise AssertionError("the endpoint answers 500")


@contextlib.contextmanager
def commands() -> Iterator[dict[str, Callable[[Json], Json]]]:
    parser = Parser()
    yield {
        "resolve": resolve,
        "parse_usage": parser.usage,
        "parse_credentials": parser.credentials,
    }
    parser.close()


def main() -> int:
    # They are a way to the endpoint, which in a test is on this machine.
    for name in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"):
        os.environ.pop(name, None)
        os.environ.pop(name.lower(), None)
    with commands() as known:
        for line in sys.stdin:
            try:
                request = json.loads(line)
                answer = known[request["op"]](request)
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
