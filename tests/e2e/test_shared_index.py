"""A fleet of demo hosts on one index: PostgreSQL, and Redis in front of it.

What the index does when it is away is tested below the ABI as well, fault by fault; here it is what
a client sees: answers, whole and in time, charged in full or read from the cache, never otherwise.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from asking import ask
from hosts import Host, StartHost, eventually
from index_servers import Postgres, Redis
from prompts import Counts, conversation

Json = Any

MODELS = {"*": {"enabled": True, "min_prefix_tokens": 1}}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    server = Redis()
    yield server
    server.remove()


@pytest.fixture(params=["postgres", "redis"])
def config(request: pytest.FixtureRequest, postgres: Postgres, redis: Redis) -> Json:
    index: Json = {"kind": request.param, "postgres": {"url": postgres.url}}
    if request.param == "redis":
        redis.command("FLUSHALL")
        index["redis"] = {"urls": [redis.url]}
    return {"index": index, "models": MODELS}


def counts_of(host: Host, seed: str, *, stream: bool = False) -> Counts:
    return ask(host.client(), conversation(seed), stream=stream).counts


def caches_again(host: Host, seed: str) -> None:
    """The host writes what is new and reads it the next time."""

    def reads() -> bool:
        return counts_of(host, seed) == Counts(read=2100)

    eventually(reads, "what was written is read")


def test_hosts_read_what_others_wrote(start_host: StartHost, config: Json) -> None:
    first, second = (start_host(index=None, config=config) for _ in range(2))
    seed = f"shared {config['index']['kind']}"
    assert counts_of(first, seed).created == 2100
    first.settled_index()
    assert counts_of(second, seed) == Counts(read=2100)
    assert counts_of(second, seed, stream=True) == Counts(read=2100)
    # Another key is another customer.
    other = ask(second.client("sk-other"), conversation(seed))
    assert other.counts.read == 0


def test_an_index_that_is_away_costs_the_cache_and_no_request(
    start_host: StartHost, config: Json, postgres: Postgres
) -> None:
    host = start_host(index=None, config=config)
    seed = f"away {config['index']['kind']}"
    assert counts_of(host, seed).created == 2100
    host.settled_index()
    postgres.stop(signal.SIGKILL)
    try:
        began = time.monotonic()
        for number in range(20):
            # Another prompt: Redis cannot know it.
            answer = counts_of(host, f"{seed} {number}", stream=number % 2 == 0)
            assert answer == Counts()
        assert time.monotonic() - began < 20
        complaints = [line for line in host.log().splitlines() if "prompt_cache.index" in line]
        assert 1 <= len(complaints) <= 4, host.log()
    finally:
        postgres.start()
    caches_again(host, f"{seed} back")
    assert counts_of(host, seed) == Counts(read=2100)


def test_redis_that_is_away_costs_nothing_but_time(
    start_host: StartHost, postgres: Postgres, redis: Redis
) -> None:
    index = {"kind": "redis", "postgres": {"url": postgres.url}, "redis": {"urls": [redis.url]}}
    hosts = [start_host(index=None, config={"index": index, "models": MODELS}) for _ in range(2)]
    assert counts_of(hosts[0], "redis away").created == 2100
    hosts[0].settled_index()
    redis.stop(signal.SIGKILL)
    try:
        assert counts_of(hosts[0], "redis away") == Counts(read=2100)
        assert counts_of(hosts[1], "redis away") == Counts(read=2100)
        assert counts_of(hosts[0], "without redis").created == 2100
        hosts[0].settled_index()
        assert counts_of(hosts[1], "without redis") == Counts(read=2100)
    finally:
        redis.start()
    for host in hosts:
        assert counts_of(host, "without redis") == Counts(read=2100)

    def used_again() -> bool:
        counts_of(hosts[0], "redis is back")
        return int(redis.command("DBSIZE")) > 0

    eventually(used_again, "Redis is used again")


def test_the_password_is_in_no_log(start_host: StartHost, postgres: Postgres) -> None:
    url = f"postgresql://nobody:hunter2@127.0.0.1:{postgres.port}/nowhere"
    config = {"index": {"kind": "postgres", "postgres": {"url": url}}, "models": MODELS}
    host = start_host(index=None, config=config)
    assert counts_of(host, "no database") == Counts()
    eventually(lambda: "prompt_cache.index" in host.log(), "the trouble is logged")
    assert "hunter2" not in host.log()
