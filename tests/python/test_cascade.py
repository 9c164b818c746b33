"""The cascade from Python: what it answers, and from where."""

from __future__ import annotations

import asyncio
import copy
import email.message
import json
import os
import pickle
import threading
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
import satchel
from quota import (
    ANSWER,
    HOUR,
    NOW,
    TOKEN,
    Clock,
    Endpoint,
    open_cascade,
    unavailable,
    unix_ns,
    write_transcript,
)
from satchel import UsageFault, UsageSource

if TYPE_CHECKING:
    from pathlib import Path

UNKNOWN = satchel.Window(None, None)


# --------------------------------------------------------------------------------------- answers


def test_the_endpoint_answers_and_then_the_cache(tmp_path: Path) -> None:
    endpoint, clock = Endpoint(), Clock()
    with open_cascade(tmp_path, http=endpoint, clock=clock) as cascade:
        usage = cascade.resolve()
        assert (usage.source, usage.error, usage.age) == (UsageSource.ENDPOINT, None, timedelta(0))
        assert usage.five_hour == satchel.Window(42.3, NOW + 2 * HOUR)
        assert usage.seven_day == satchel.Window(9.0, NOW + 80 * HOUR)
        assert (usage.five_hour_tokens, usage.seven_day_tokens) == (None, None)
        assert (usage.block_start, usage.block_end) == (None, None)
        clock.now += timedelta(seconds=90)
        again = cascade.resolve()
        assert (again.source, again.age) == (UsageSource.CACHE, timedelta(seconds=90))
        assert again.five_hour == usage.five_hour
    [asked] = endpoint.asked
    assert (asked.method, asked.url) == ("GET", "https://api.anthropic.com/api/oauth/usage")
    assert dict(asked.headers)["Authorization"] == f"Bearer {TOKEN}"
    assert asked.body == b""
    assert 60_000 < asked.max_body <= 64 << 10
    assert 0 < asked.timeout <= 2.0


def test_data_is_all_of_it(tmp_path: Path) -> None:
    with open_cascade(tmp_path) as cascade:
        usage = cascade.resolve()
    assert usage.data["source"] == "endpoint"
    assert usage.data["five_hour"]["utilization"] == usage.five_hour.utilization == 42.3
    assert usage.data["unknown_buckets"] == {"a_new_bucket": {"anything": [1]}}
    assert usage.data is usage.data
    assert json.loads(usage.to_json()) == usage.data


def test_a_usage_is_a_value(tmp_path: Path) -> None:
    with open_cascade(tmp_path) as cascade:
        usage = cascade.resolve()
    assert pickle.loads(pickle.dumps(usage)) == usage == copy.deepcopy(usage)
    assert hash(usage) == hash(copy.copy(usage))
    assert "utilization=42.3" in repr(usage)
    with pytest.raises(AttributeError):
        usage.source = UsageSource.CACHE  # type: ignore[misc]


def test_stale_data_says_why_it_is_not_fresher(tmp_path: Path) -> None:
    endpoint, clock = Endpoint(), Clock()
    with open_cascade(tmp_path, http=endpoint, clock=clock) as cascade:
        cascade.resolve()
        clock.now += HOUR
        endpoint.tell(429, retry_after="60")
        usage = cascade.resolve()
        assert (usage.source, usage.error, usage.age) == (
            UsageSource.STALE,
            UsageFault.RATE_LIMITED,
            HOUR,
        )
        clock.now += timedelta(seconds=59)
        assert cascade.resolve().source == UsageSource.STALE
        assert len(endpoint.asked) == 2
        clock.now += timedelta(seconds=1)
        endpoint.tell(200, ANSWER)
        assert cascade.resolve().source == UsageSource.ENDPOINT


def test_two_cascades_share_what_is_known(tmp_path: Path) -> None:
    second = Endpoint(500)
    with open_cascade(tmp_path) as one, open_cascade(tmp_path, http=second) as other:
        one.resolve()
        assert other.resolve().source == UsageSource.CACHE
    assert second.asked == []


@pytest.mark.parametrize(
    ("status", "answer", "fault"),
    [
        (401, {}, UsageFault.UNAUTHORIZED),
        (403, {}, UsageFault.FORBIDDEN),
        (429, {}, UsageFault.RATE_LIMITED),
        (500, {}, UsageFault.NETWORK_ERROR),
        (302, {}, UsageFault.NETWORK_ERROR),
        (200, b"<html>", UsageFault.PARSE_ERROR),
        (200, {"five_hour": "much"}, UsageFault.PARSE_ERROR),
        (200, b" " * (64 << 10) + b"{}", UsageFault.NETWORK_ERROR),
    ],
)
def test_nothing_known_is_an_exception_that_says_why(
    tmp_path: Path, status: int, answer: Any, fault: UsageFault
) -> None:
    error = unavailable(open_cascade(tmp_path, http=Endpoint(status, answer)))
    assert error.fault == fault
    assert error.message.startswith(f"{fault.code}: ")
    assert TOKEN not in f"{error!r} {error} {error.args}"
    copied = pickle.loads(pickle.dumps(error))
    assert (type(copied), copied.fault) == (satchel.UsageUnavailable, fault)


def test_transcripts_are_the_last_resort(tmp_path: Path) -> None:
    write_transcript(
        tmp_path / "claude",
        (NOW - 30 * HOUR, "m", 1),
        (NOW - HOUR / 2, "m", 20),
    )
    with open_cascade(tmp_path, http=Endpoint(500)) as cascade:
        usage = cascade.resolve()
    assert (usage.source, usage.error) == (UsageSource.JSONL, UsageFault.NETWORK_ERROR)
    assert (usage.five_hour, usage.seven_day) == (UNKNOWN, UNKNOWN)
    assert usage.five_hour_tokens == satchel.Tokens(10, 20, 0, 1000)
    assert usage.seven_day_tokens == satchel.Tokens(20, 21, 0, 2000)
    assert usage.seven_day_tokens.total == 2041
    assert (usage.block_start, usage.block_end) == (NOW - HOUR, NOW + 4 * HOUR)


def test_without_an_active_block_there_are_no_tokens_of_it(tmp_path: Path) -> None:
    write_transcript(tmp_path / "claude", (NOW - 30 * HOUR, "m", 1))
    with open_cascade(tmp_path, http=Endpoint(500)) as cascade:
        usage = cascade.resolve()
    assert (usage.five_hour_tokens, usage.block_start) == (None, None)
    assert usage.seven_day_tokens == satchel.Tokens(10, 1, 0, 1000)


def test_stale_while_revalidate_answers_at_once(tmp_path: Path) -> None:
    clock = Clock()
    with open_cascade(tmp_path, clock=clock) as cascade:
        cascade.resolve()
    clock.now += HOUR
    asked, go_on = threading.Event(), threading.Event()

    def slow(_: satchel.HttpRequest) -> satchel.HttpAnswer:
        asked.set()
        assert go_on.wait(60)
        return Endpoint().answer

    config = {"stale_while_revalidate": True}
    with open_cascade(tmp_path, config=config, http=slow, clock=clock) as cascade:
        assert cascade.resolve().source == UsageSource.STALE
        assert asked.wait(60)
        go_on.set()


# ------------------------------------------------------------------------------------- asyncio


def test_aresolve_answers_many_at_once(tmp_path: Path) -> None:
    endpoint = Endpoint()

    async def ask(cascade: satchel.Cascade) -> list[satchel.Usage]:
        return await asyncio.gather(*(cascade.aresolve() for _ in range(20)))

    with open_cascade(tmp_path, http=endpoint) as cascade:
        found = asyncio.run(ask(cascade))
    assert {usage.five_hour for usage in found} == {satchel.Window(42.3, NOW + 2 * HOUR)}
    assert len(endpoint.asked) == 1


def test_aresolve_raises_what_resolve_raises(tmp_path: Path) -> None:
    with open_cascade(tmp_path, http=Endpoint(403)) as cascade:
        with pytest.raises(satchel.UsageUnavailable) as caught:
            asyncio.run(cascade.aresolve())
        assert caught.value.fault == UsageFault.FORBIDDEN


def test_the_loop_runs_on_while_aresolve_waits_and_a_cancelled_one_harms_nobody(
    tmp_path: Path,
) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(_: satchel.HttpRequest) -> satchel.HttpAnswer:
        asked.set()
        assert go_on.wait(60)
        return Endpoint().answer

    async def ask(cascade: satchel.Cascade) -> satchel.Usage:
        given_up = asyncio.create_task(cascade.aresolve())
        patient = asyncio.create_task(cascade.aresolve())
        while not asked.is_set():
            await asyncio.sleep(0)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        go_on.set()
        return await patient

    with open_cascade(tmp_path, http=slow) as cascade:
        assert asyncio.run(ask(cascade)).five_hour.utilization == 42.3


def test_a_loop_that_is_closed_meanwhile_harms_nobody(
    tmp_path: Path, unraisable: list[BaseException]
) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(_: satchel.HttpRequest) -> satchel.HttpAnswer:
        asked.set()
        assert go_on.wait(60)
        return Endpoint().answer

    async def start(cascade: satchel.Cascade) -> None:
        task = asyncio.create_task(cascade.aresolve())
        while not asked.is_set():
            await asyncio.sleep(0)
        task.cancel()

    with open_cascade(tmp_path, http=slow) as cascade:
        asyncio.run(start(cascade))
        go_on.set()
        assert asyncio.run(cascade.aresolve()).five_hour.utilization == 42.3
    assert unraisable == []


def test_closing_ends_what_waits(tmp_path: Path) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(_: satchel.HttpRequest) -> satchel.HttpAnswer:
        asked.set()
        assert go_on.wait(60)
        return Endpoint(500).answer

    async def ask(cascade: satchel.Cascade) -> None:
        first = asyncio.create_task(cascade.aresolve())
        while not asked.is_set():
            await asyncio.sleep(0)
        late = asyncio.create_task(cascade.aresolve())
        await asyncio.sleep(0)
        closing = asyncio.create_task(asyncio.to_thread(cascade.close))
        go_on.set()
        await closing
        for task in (first, late):
            with pytest.raises((satchel.ClosedError, satchel.UsageUnavailable)):
                await task
        with pytest.raises(satchel.ClosedError):
            await cascade.aresolve()

    asyncio.run(ask(open_cascade(tmp_path, http=slow)))


def test_1024_may_wait(tmp_path: Path) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(_: satchel.HttpRequest) -> satchel.HttpAnswer:
        asked.set()
        assert go_on.wait(60)
        return Endpoint().answer

    async def ask(cascade: satchel.Cascade) -> None:
        first = asyncio.create_task(cascade.aresolve())
        await asyncio.to_thread(asked.wait, 60)  # its resolve is under way: the others wait
        tasks = [asyncio.create_task(cascade.aresolve()) for _ in range(1100)]
        await asyncio.sleep(0)
        go_on.set()
        await first
        found = await asyncio.gather(*tasks, return_exceptions=True)
        refused = [error for error in found if isinstance(error, satchel.Error)]
        assert [error.name for error in refused] == ["ERR_LIMIT"] * (1100 - 1024)

    # Nobody gives up while they all come.
    with open_cascade(tmp_path, http=slow, config={"timeout_ms": 60_000}) as cascade:
        asyncio.run(ask(cascade))


# ------------------------------------------------------------------------------------- observing

HEADERS = {
    "Anthropic-RateLimit-Unified-Status": "allowed",
    "anthropic-ratelimit-unified-5h-utilization": "0.5",
    "anthropic-ratelimit-unified-5h-reset": str(unix_ns(NOW + HOUR) // 10**9),
    "anthropic-ratelimit-unified-7d-utilization": "0.25",
    "anthropic-ratelimit-unified-7d-reset": str(unix_ns(NOW + 50 * HOUR) // 10**9),
    "content-type": "text/plain",
}


class MultiItems(dict[str, str]):
    """As httpx.Headers."""

    def multi_items(self) -> list[tuple[str, str]]:
        return list(super().items())

    def items(self) -> Any:
        raise AssertionError("multi_items is to be asked")


def message() -> email.message.Message:
    made = email.message.Message()  # as http.client has it
    for name, value in HEADERS.items():
        made[name] = value
    return made


@pytest.mark.parametrize(
    "headers",
    [
        HEADERS,
        list(HEADERS.items()),
        [(name.encode(), value.encode()) for name, value in HEADERS.items()],
        [[name, value] for name, value in HEADERS.items()],
        iter(HEADERS.items()),
        MultiItems(HEADERS),
        message(),
    ],
    ids=["dict", "pairs", "bytes", "lists", "iterator", "httpx", "http.client"],
)
def test_observed_headers_answer(tmp_path: Path, headers: Any) -> None:
    endpoint = Endpoint()
    with open_cascade(tmp_path, http=endpoint) as cascade:
        assert cascade.observe(headers) is True
        usage = cascade.resolve()
    assert usage.source == UsageSource.HEADERS
    assert usage.five_hour == satchel.Window(50.0, NOW + HOUR)
    assert usage.seven_day == satchel.Window(25.0, NOW + 50 * HOUR)
    assert usage.data["observed"]["status"] == "allowed"
    assert endpoint.asked == []


def test_headers_that_say_nothing_of_the_quota(tmp_path: Path) -> None:
    with open_cascade(tmp_path) as cascade:
        assert cascade.observe({"content-type": "text/plain"}) is False
        assert cascade.observe([]) is False
        for bad in (5, [5], [("a",)], [("a", 5)], [(None, "b", "c")], "ab"):
            with pytest.raises((TypeError, ValueError)):
                cascade.observe(bad)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------- report


def test_a_report_counts_by_day_model_and_block(tmp_path: Path) -> None:
    day = datetime(2026, 4, 10, tzinfo=timezone.utc)
    write_transcript(
        tmp_path / "claude",
        (day + timedelta(hours=1), "opus", 1),
        (day + timedelta(hours=2), "sonnet", 20),
        (day + timedelta(hours=23, minutes=30), "opus", 300),
    )
    with open_cascade(tmp_path) as cascade:
        report = cascade.report()
        assert [(each["day"], each["output"]) for each in report["days"]] == [("2026-04-10", 321)]
        assert [(each["model"], each["output"]) for each in report["models"]] == [
            ("opus", 301),
            ("sonnet", 20),
        ]
        assert [each["output"] for each in report["blocks"]] == [21, 300]
        assert report["total"]["messages"] == 3
        east = timezone(timedelta(hours=5, minutes=30))
        for offset in (timedelta(hours=5, minutes=30), east):
            shifted = cascade.report(utc_offset=offset)
            assert [each["day"] for each in shifted["days"]] == ["2026-04-10", "2026-04-11"]
            assert shifted["utc_offset_s"] == 19800
        cut = cascade.report(since=day + timedelta(hours=2), until=day + timedelta(hours=3))
        assert cut["total"]["output"] == 20
        assert cut["from"] == "2026-04-10T02:00:00Z"
        local = (day + timedelta(hours=2)).astimezone(timezone(timedelta(hours=-7)))
        assert cascade.report(since=local)["total"]["output"] == 320


def test_a_report_takes_times_that_know_their_zone(tmp_path: Path) -> None:
    with open_cascade(tmp_path) as cascade:
        for bounds in ({"since": datetime(2026, 4, 1)}, {"until": datetime(2026, 4, 1)}):
            with pytest.raises(ValueError, match="must know its time zone"):
                cascade.report(**bounds)  # type: ignore[arg-type]
        for offset in (timedelta(minutes=1), timedelta(seconds=1)):
            with pytest.raises(ValueError, match="a multiple of 15 minutes"):
                cascade.report(utc_offset=offset)
        with pytest.raises(satchel.ArgumentError, match="utc_offset_s"):
            cascade.report(utc_offset=timedelta(hours=20))


def test_a_report_takes_any_time(tmp_path: Path) -> None:
    first, last = (time.replace(tzinfo=timezone.utc) for time in (datetime.min, datetime.max))
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    write_transcript(tmp_path / "claude", (NOW, "opus", 1))

    with open_cascade(tmp_path) as cascade:

        def messages(**bounds: datetime) -> int:
            return int(cascade.report(**bounds)["total"]["messages"])

        assert messages(since=first, until=last) == messages(since=epoch) == 1
        assert messages(since=last) == messages(until=first) == messages(until=epoch) == 0


def test_a_report_of_nothing(tmp_path: Path) -> None:
    with open_cascade(tmp_path) as cascade, pytest.raises(satchel.UsageUnavailable) as caught:
        cascade.report()
    assert caught.value.fault in {
        satchel.UsageFault.NO_ENTRIES,
        satchel.UsageFault.DIRECTORY_MISSING,
    }
    config = {"transcripts": {"enabled": False}}
    cascade = open_cascade(tmp_path, config=config)
    with cascade, pytest.raises(satchel.StateError, match="switched off"):
        cascade.report()


# ------------------------------------------------------------------------- opening, and all else


def test_metrics_are_text(tmp_path: Path) -> None:
    with open_cascade(tmp_path) as cascade:
        cascade.resolve()
        lines = cascade.metrics().splitlines()
    assert all(line.startswith(("#", "satchel_cascade_")) for line in lines)


def test_what_it_is_opened_with_is_checked(tmp_path: Path) -> None:
    with pytest.raises(satchel.ConfigError, match="timeout"):
        satchel.Cascade({"timeout": 5})
    with pytest.raises(satchel.ConfigError):
        satchel.Cascade("[]")
    with pytest.raises(satchel.ConfigError, match="plain_http"):
        satchel.Cascade({"api_base_url": "http://example.com"})
    for name in ("credentials", "transcripts", "http", "log", "clock", "monotonic"):
        with pytest.raises(TypeError, match=f"{name} must be callable"):
            satchel.Cascade(**{name: 5})
    with pytest.raises(TypeError, match="several paths, not one"):
        satchel.Cascade(config_dirs=str(tmp_path))
    with pytest.raises(TypeError, match="files must have a method 'read'"):
        satchel.Cascade(files=object())  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        satchel.Cascade(cache_dir=5)  # type: ignore[arg-type]
    with pytest.raises(satchel.ArgumentError, match="empty path"):
        satchel.Cascade(config_dirs=[""])


def test_paths_are_of_any_kind(tmp_path: Path) -> None:
    for number, form in enumerate((str, os.fsencode, lambda path: path)):
        place = tmp_path / f"caf\udce9{number}"
        with open_cascade(tmp_path, cache_dir=form(place)) as cascade:
            cascade.resolve()
        assert (place / "usage.json").exists()


def test_without_config_dirs_there_are_no_credentials(tmp_path: Path) -> None:
    cascade = open_cascade(tmp_path, config_dirs=[], credentials=None)
    assert unavailable(cascade).fault == UsageFault.NO_CREDENTIALS


def test_built_in_credentials(tmp_path: Path) -> None:
    place = tmp_path / "claude"
    place.mkdir()
    endpoint = Endpoint()
    credentials = {"claudeAiOauth": {"accessToken": TOKEN}}
    (place / ".credentials.json").write_text(json.dumps(credentials))
    with open_cascade(tmp_path, credentials=None, http=endpoint) as cascade:
        cascade.resolve()
    assert ("Authorization", f"Bearer {TOKEN}") in endpoint.asked[0].headers


def test_a_closed_cascade_says_so(tmp_path: Path) -> None:
    cascade = open_cascade(tmp_path)
    assert (cascade.closed, repr(cascade)) == (False, "<satchel.Cascade open>")
    cascade.close()
    cascade.close()
    assert (cascade.closed, repr(cascade)) == (True, "<satchel.Cascade closed>")
    for call in (cascade.resolve, cascade.metrics, cascade.report, cascade.__enter__):
        with pytest.raises(satchel.ClosedError):
            call()
    with pytest.raises(satchel.ClosedError):
        cascade.observe({})


def test_it_cannot_be_pickled_or_copied(tmp_path: Path) -> None:
    with open_cascade(tmp_path) as cascade:
        for way in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be pickled or copied"):
                way(cascade)
