"""The demo host as a program: its options, its end, and several of it on one index."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from pathlib import Path

import pytest
import wire
from asking import Answer, ask
from hosts import Host, StartHost, Upstream, eventually
from prompts import MODEL, Counts, conversation, counts


def run(demo_host: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(demo_host), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_a_second_process_reads_what_the_first_wrote(start_host: StartHost, tmp_path: Path) -> None:
    first, second = start_host(tmp_path / "index"), start_host(tmp_path / "index")
    assert ask(first.client(), conversation("a")).counts.created == 2100
    first.settled_index()
    assert ask(second.client(), conversation("a")).counts == Counts(read=2100)
    assert ask(second.client(), conversation("b")).counts.created == 2100
    second.settled_index()
    assert ask(first.client(), conversation("b")).counts == Counts(read=2100)


def test_entries_outlive_their_process(start_host: StartHost, tmp_path: Path) -> None:
    first = start_host(tmp_path / "index")
    ask(first.client(), conversation("a"), stream=True)
    assert first.stop() == 0
    assert ask(start_host(tmp_path / "index").client(), conversation("a")).counts.read == 2100


def test_entries_survive_a_killed_process(start_host: StartHost, tmp_path: Path) -> None:
    first, second = start_host(tmp_path / "index"), start_host(tmp_path / "index")
    ask(first.client(), conversation("a"))
    first.settled_index()
    first.server.process.kill()
    first.server.process.wait()
    first.server.process.returncode = 0  # as we wanted it
    assert ask(second.client(), conversation("a")).counts.read == 2100
    assert ask(start_host(tmp_path / "index").client(), conversation("a")).counts.read == 2100


def test_many_processes_and_threads_share_an_index(start_host: StartHost, tmp_path: Path) -> None:
    hosts = [start_host(tmp_path / "index") for _ in range(3)]
    wrong: list[BaseException] = []

    def converse(host: Host, number: int) -> None:
        try:
            for seed in ("shared", f"own {number}"):
                answer = ask(host.client(), conversation(seed), stream=number % 2 == 0)
                assert answer.counts.read + answer.counts.created == 2100
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=converse, args=(hosts[n % 3], n)) for n in range(18)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    for host in hosts:
        assert host.settled_index()["entries_dropped"] == 0
    for seed in ("shared", *(f"own {number}" for number in range(18))):
        assert ask(hosts[0].client(), conversation(seed)).counts == Counts(read=2100)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_what_is_in_flight(
    start_host: StartHost, upstream: Upstream, tmp_path: Path, number: signal.Signals
) -> None:
    host = start_host(tmp_path / "index")
    answers: list[Answer] = []

    def question(stream: bool) -> None:
        script = "gate=hold,tokens=30"
        seed = "streamed" if stream else "whole"
        answers.append(ask(host.client(), conversation(seed), stream=stream, script=script))

    threads = [threading.Thread(target=question, args=(stream,)) for stream in (False, True)]
    for thread in threads:
        thread.start()
    eventually(lambda: upstream.waiting("hold") == 2, "both answers have begun")
    host.server.process.send_signal(number)
    eventually(lambda: not accepts(host.port), "the host listens no more")
    assert host.server.process.poll() is None
    upstream.open_gate("hold")
    for thread in threads:
        thread.join()
    assert [answer.usage["completion_tokens"] for answer in answers] == [30, 30]
    assert host.server.process.wait(30) == 0
    again = start_host(tmp_path / "index")
    for seed in ("streamed", "whole"):
        assert ask(again.client(), conversation(seed)).counts.read == 2100


def accepts(port: int) -> bool:
    try:
        with wire.Connection(port) as connection:
            connection.send(wire.request("GET", "/healthz"))
            return connection.response().status == 200
    except OSError:
        return False
    except EOFError:
        return False


def test_a_second_signal_ends_at_once(start_host: StartHost, upstream: Upstream) -> None:
    host = start_host()
    prompt = {"model": MODEL, "messages": conversation("a"), "stream": True}
    with wire.Connection(host.port) as connection:
        connection.send(wire.chat_request(prompt, "fault=hang"))
        head = connection.read_until(b"\n\n")
        assert head.startswith(b"HTTP/1.1 200")
        host.server.process.send_signal(signal.SIGINT)
        eventually(lambda: not accepts(host.port), "the host listens no more")
        assert host.server.process.poll() is None
        host.server.process.send_signal(signal.SIGINT)
        status = host.server.process.wait(20)
        with pytest.raises(EOFError):
            connection.read_until(b"0\r\n\r\n")
    assert status != 0
    host.server.process.returncode = 0  # as we wanted it
    eventually(
        lambda: upstream.requests()[0]["outcome"] == "client_gone", "the host leaves the upstream"
    )


def test_healthz_tells_what_it_did(start_host: StartHost, tmp_path: Path) -> None:
    host = start_host(tmp_path / "index")
    before = host.health()
    assert before["status"] == "ok"
    assert before["library"]["abi"] >= 1
    assert before["library"]["version"]
    for _ in range(2):
        ask(host.client(), conversation("a"))
    index = host.settled_index()
    after = host.health()
    assert after["requests"] >= before["requests"] + 2
    assert after["library_microseconds"] > before["library_microseconds"]
    assert (index["lookups"], index["hits"], index["lookup_failures"]) == (2, 1, 0)
    assert (index["entries_written"], index["entries_refreshed"]) == (2, 1)
    assert (index["entries_dropped"], index["entries_waiting"]) == (0, 0)


def test_healthz_is_not_the_upstreams(memory_host: Host, upstream: Upstream) -> None:
    memory_host.health()
    assert upstream.requests() == []


def test_metrics_tell_what_it_did_and_are_not_the_upstreams(
    memory_host: Host, upstream: Upstream
) -> None:
    for _ in range(2):
        ask(memory_host.client(), conversation("a"))
    asked = len(upstream.requests())
    for target in ("/metrics", "/metrics?name=x"):
        answer = wire.exchange(memory_host.port, wire.request("GET", target))
        assert answer.status == 200
        assert answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
        for sample in (
            'satchel_prompt_cache_requests_total{outcome="create_only"} 1\n',
            'satchel_prompt_cache_requests_total{outcome="read"} 1\n',
            'satchel_prompt_cache_classify_total{outcome="ok"} 2\n',
        ):
            assert sample in answer.body.decode()
    assert len(upstream.requests()) == asked


def test_help_says_what_there_is(demo_host: Path) -> None:
    result = run(demo_host, "--help")
    assert result.returncode == 0
    for option in ("--listen", "--upstream", "--library", "--index", "--config", "--verbose"):
        assert option in result.stdout


def test_a_library_that_is_not_there_is_named(demo_host: Path, tmp_path: Path) -> None:
    missing = str(tmp_path / "libnothing.so")
    result = run(demo_host, "--upstream", "http://127.0.0.1:1", "--library", missing)
    assert result.returncode != 0
    assert missing in result.stderr


def test_a_shared_object_that_is_no_satchel_is_refused(demo_host: Path) -> None:
    result = run(demo_host, "--upstream", "http://127.0.0.1:1", "--library", "libc.so.6")
    assert result.returncode != 0
    assert "libc.so.6" in result.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"indx": {}}', "indx"),
        ('{"index": {"kind": "papyrus"}}', "papyrus"),
        ('{"models": {"*": {"min_prefix_tokens": "many"}}}', "min_prefix_tokens"),
        ('{"default_ttl": "2h"}', "default_ttl"),
        ('["no object"]', "object"),
        ("{", "config"),
    ],
)
def test_a_wrong_configuration_is_named(
    demo_host: Path, library: Path, tmp_path: Path, text: str, says: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    arguments = ["--upstream", "http://127.0.0.1:1", "--library", str(library)]
    result = run(demo_host, *arguments, "--config", str(path), "--listen", "127.0.0.1:0")
    assert result.returncode != 0
    assert says in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--upstream", "http://127.0.0.1:1"),
        ("--unheard-of",),
        ("--upstream", "ftp://127.0.0.1", "--library", "LIBRARY"),
        ("--upstream", "http://127.0.0.1:1", "--library", "LIBRARY", "--listen", "nowhere"),
        ("--upstream", "http://127.0.0.1:1", "--library", "LIBRARY", "--max-connections", "0"),
    ],
)
def test_wrong_options_are_refused_with_a_reason(
    demo_host: Path, library: Path, arguments: tuple[str, ...]
) -> None:
    given = (str(library) if argument == "LIBRARY" else argument for argument in arguments)
    result = run(demo_host, *given)
    assert result.returncode != 0
    assert result.stderr.strip()


def test_an_index_in_the_configuration_is_used(start_host: StartHost, tmp_path: Path) -> None:
    config = {"index": {"kind": "sqlite", "path": str(tmp_path / "index")}}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    first = start_host(config=None, options=("--config", str(path)), index=None)
    ask(first.client(), conversation("a"))
    first.settled_index()
    assert ask(start_host(tmp_path / "index").client(), conversation("a")).counts.read == 2100


def test_the_log_says_nothing_of_keys_and_prompts(start_host: StartHost, tmp_path: Path) -> None:
    host = start_host(tmp_path / "index", options=("--verbose",))
    ask(host.client("sk-very-secret"), conversation("private"), stream=True)
    prompt = {"model": MODEL, "messages": conversation("private")}
    response = wire.exchange(host.port, wire.chat_request(prompt, key="sk-very-secret"))
    assert counts(response.json()["usage"]).read == 2100
    host.stop()
    assert host.log().count("\n") >= 2
    assert "secret" not in host.log()
    assert "private" not in host.log()
