"""The parts of a cascade, written in Python."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import satchel
from quota import ANSWER, HOUR, NOW, TOKEN, Clock, Endpoint, open_cascade, unavailable, unix_ns
from satchel import TranscriptBlock, TranscriptWindows, UsageFault, UsageSource

if TYPE_CHECKING:
    from pathlib import Path


def fault_of(cascade: satchel.Cascade) -> UsageFault:
    return unavailable(cascade).fault


# ------------------------------------------------------------------------------------ credentials


def test_credentials_are_asked_once_a_fetch_and_only_then(tmp_path: Path) -> None:
    asked = []

    def credentials() -> bytes:
        asked.append(True)
        return TOKEN.encode()

    endpoint = Endpoint()
    with open_cascade(tmp_path, credentials=credentials, http=endpoint) as cascade:
        cascade.resolve()
        cascade.resolve()
    assert asked == [True]
    assert ("Authorization", f"Bearer {TOKEN}") in endpoint.asked[0].headers


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (None, UsageFault.NO_CREDENTIALS),
        ("", UsageFault.EMPTY_TOKEN),
        (UsageFault.MISSING_FIELD, UsageFault.MISSING_FIELD),
        (UsageFault.IO_ERROR, UsageFault.IO_ERROR),
        (NotImplemented, UsageFault.NO_CREDENTIALS),  # the built-in: there is no file
    ],
)
def test_credentials_say_why_there_are_none(
    tmp_path: Path, answer: Any, fault: UsageFault, unraisable: list[BaseException]
) -> None:
    assert fault_of(open_cascade(tmp_path, credentials=lambda: answer)) == fault
    assert unraisable == []


@pytest.mark.parametrize("answer", [5, True, [TOKEN], UsageFault.TIMEOUT, TOKEN + "\xe9"])
def test_credentials_of_the_wrong_kind_fail_without_being_shown(
    tmp_path: Path, answer: Any, unraisable: list[BaseException]
) -> None:
    cascade = open_cascade(tmp_path, credentials=lambda: answer, log=lambda *_: None)
    assert fault_of(cascade) == UsageFault.SUBPROCESS_FAILED
    [error] = unraisable
    assert isinstance(error, (TypeError, ValueError))
    assert TOKEN not in f"{error!r} {error.args}"


def test_credentials_that_raise(tmp_path: Path, unraisable: list[BaseException]) -> None:
    logged = []

    def credentials() -> str:
        raise RuntimeError("no keyring")

    cascade = open_cascade(tmp_path, credentials=credentials, log=lambda *line: logged.append(line))
    assert fault_of(cascade) == UsageFault.SUBPROCESS_FAILED
    assert [str(error) for error in unraisable] == ["no keyring"]
    assert [component for _, component, _ in logged] == ["cascade.credentials"]


# ------------------------------------------------------------------------------------------- http


def test_http_that_is_late_is_a_timeout_and_one_without_answer_a_network_error(
    tmp_path: Path, unraisable: list[BaseException]
) -> None:
    for number, (error, fault) in enumerate(
        [
            (TimeoutError(), UsageFault.TIMEOUT),
            (ConnectionRefusedError(), UsageFault.NETWORK_ERROR),
            (OSError("no route"), UsageFault.NETWORK_ERROR),
        ]
    ):

        def http(_: satchel.HttpRequest, error: OSError = error) -> satchel.HttpAnswer:
            raise error

        cascade = open_cascade(tmp_path / str(number), http=http)
        assert fault_of(cascade) == fault
    assert unraisable == []


@pytest.mark.parametrize(
    "answer",
    [
        None,
        (200, b"{}"),
        satchel.HttpAnswer("200"),  # type: ignore[arg-type]
        satchel.HttpAnswer(200, "{}"),  # type: ignore[arg-type]
        satchel.HttpAnswer(200, b"{}", [("a",)]),  # type: ignore[list-item]
    ],
)
def test_http_of_the_wrong_kind_is_reported(
    tmp_path: Path, answer: Any, unraisable: list[BaseException]
) -> None:
    assert fault_of(open_cascade(tmp_path, http=lambda _: answer)) == UsageFault.NETWORK_ERROR
    [error] = unraisable
    assert isinstance(error, (TypeError, ValueError))


def test_http_answers_with_headers_of_any_kind(tmp_path: Path) -> None:
    clock = Clock()
    for number, headers in enumerate(
        [{"Retry-After": "60"}, [("retry-after", "60")], [(b"retry-after", b"60")]]
    ):
        answer = satchel.HttpAnswer(429, headers=headers)  # type: ignore[arg-type]
        place = tmp_path / str(number)
        unavailable(open_cascade(place, http=lambda _, answer=answer: answer, clock=clock))
        lock = (place / "cache" / "usage.lock").read_text()
        assert str(unix_ns(NOW) // 10**9 + 60) in lock


def test_an_http_request_does_not_show_the_token(tmp_path: Path) -> None:
    endpoint = Endpoint()
    with open_cascade(tmp_path, http=endpoint) as cascade:
        cascade.resolve()
    assert TOKEN not in repr(endpoint.asked)
    assert "api.anthropic.com" in repr(endpoint.asked)


# ------------------------------------------------------------------------------------ transcripts


def test_transcripts_of_the_hosts_own(tmp_path: Path) -> None:
    asked = []

    def transcripts(now: Any) -> TranscriptWindows:
        asked.append(now)
        block = TranscriptBlock(NOW - HOUR, satchel.Tokens(1, 2, 3, 4))
        return TranscriptWindows(satchel.Tokens(10, 20, 30, 40), block)

    with open_cascade(tmp_path, http=Endpoint(500), transcripts=transcripts) as cascade:
        usage = cascade.resolve()
        with pytest.raises(satchel.StateError, match="the transcripts are the host's"):
            cascade.report()
    assert asked == [NOW]
    assert usage.source == UsageSource.JSONL
    assert usage.five_hour_tokens == satchel.Tokens(1, 2, 3, 4)
    assert usage.seven_day_tokens == satchel.Tokens(10, 20, 30, 40)
    assert usage.block_start == NOW - HOUR


def test_transcripts_without_entries_or_of_the_wrong_kind(
    tmp_path: Path, unraisable: list[BaseException]
) -> None:
    naive = TranscriptBlock(NOW.replace(tzinfo=None), satchel.Tokens())
    wrong = [
        5,
        TranscriptWindows(satchel.Tokens(-1)),
        TranscriptWindows(satchel.Tokens(), naive),
    ]
    for number, answer in enumerate([None, NotImplemented, *wrong]):
        cascade = open_cascade(
            tmp_path / str(number),
            http=Endpoint(500),
            transcripts=lambda _, answer=answer: answer,
            log_level="off",
        )
        assert fault_of(cascade) == UsageFault.NETWORK_ERROR
    assert len(unraisable) == len(wrong)


# ------------------------------------------------------------------------------------------ files


class Files:
    """Three files in memory."""

    def __init__(self) -> None:
        self.content: dict[str, tuple[bytes, int]] = {}
        self.removed: list[str] = []

    def read(self, name: str) -> tuple[bytes, int] | None:
        return self.content.get(name)

    def write(self, name: str, data: bytes) -> None:
        self.content[name] = (data, unix_ns(NOW))

    def remove(self, name: str) -> None:
        self.removed.append(name)
        self.content.pop(name, None)


def test_files_of_the_hosts_own(tmp_path: Path) -> None:
    files, endpoint, clock = Files(), Endpoint(), Clock()
    with open_cascade(tmp_path, files=files, http=endpoint, clock=clock) as cascade:
        cascade.resolve()
        assert set(files.content) == {"usage.json", "usage.lock"}
        assert b"a_new_bucket" in files.content["usage.json"][0]
        cascade.observe({"anthropic-ratelimit-unified-5h-utilization": "0.5"})
        clock.now += HOUR
        endpoint.tell(401)
        with pytest.raises(satchel.UsageUnavailable):
            cascade.resolve()
    assert "satchel-observed.json" in files.content
    assert files.removed == ["usage.json"]
    assert not (tmp_path / "cache").exists()


def test_files_that_fail_change_nothing_for_the_caller(
    tmp_path: Path, unraisable: list[BaseException]
) -> None:
    class Broken(Files):
        def write(self, name: str, data: bytes) -> None:  # noqa: ARG002
            raise OSError("disk full")

        def read(self, name: str) -> Any:  # noqa: ARG002
            return "no pair"

    with open_cascade(tmp_path, files=Broken(), log_level="off") as cascade:
        assert cascade.resolve().source == UsageSource.ENDPOINT
    assert {type(error) for error in unraisable} == {OSError, ValueError}


# --------------------------------------------------------------------------- threads, re-entrance


def test_a_callback_may_not_use_its_own_cascade(tmp_path: Path) -> None:
    caught: list[BaseException] = []
    holder: list[satchel.Cascade] = []

    def credentials() -> str:
        for call in (holder[0].resolve, holder[0].close, holder[0].metrics):
            try:
                call()
            except satchel.BusyError as error:
                caught.append(error)
        return TOKEN

    with open_cascade(tmp_path, credentials=credentials) as cascade:
        holder.append(cascade)
        assert cascade.resolve().source == UsageSource.ENDPOINT
    assert len(caught) == 3


def test_other_threads_run_while_one_waits(tmp_path: Path) -> None:
    """The callback needs another thread, which needs Python's lock, to go on."""
    asked, go_on = threading.Event(), threading.Event()

    def slow(_: satchel.HttpRequest) -> satchel.HttpAnswer:
        asked.set()
        assert go_on.wait(60)
        return Endpoint().answer

    def helper() -> None:
        assert asked.wait(60)
        go_on.set()

    thread = threading.Thread(target=helper)
    thread.start()
    with open_cascade(tmp_path, http=slow) as cascade:
        assert cascade.resolve().source == UsageSource.ENDPOINT
    thread.join()


def test_many_threads_cause_one_fetch(tmp_path: Path) -> None:
    endpoint = Endpoint()
    found: list[satchel.Usage] = []
    with open_cascade(tmp_path, http=endpoint) as cascade:
        threads = [
            threading.Thread(target=lambda: found.append(cascade.resolve())) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(endpoint.asked) == 1
    assert {usage.five_hour.utilization for usage in found} == {ANSWER["five_hour"]["utilization"]}
