"""Starts the scripted upstream and demo hosts on free ports of 127.0.0.1, and stops them."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))
os.environ["NO_PROXY"] = "127.0.0.1"

from hosts import Host, StartHost, Upstream
from processes import (
    built_demo_host,
    built_library,
    start_demo_host,
    start_upstream,
)

Json = Any


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--library", help="libsatchel.so; default: build/release")
    parser.addoption("--demo-host", help="the demo-host program; default: build/release")


@pytest.fixture(scope="session")
def library(request: pytest.FixtureRequest) -> Path:
    given = request.config.getoption("--library") or os.environ.get("SATCHEL_LIBRARY")
    return Path(given) if given else built_library()


@pytest.fixture(scope="session")
def demo_host(request: pytest.FixtureRequest) -> Path:
    given = request.config.getoption("--demo-host") or os.environ.get("SATCHEL_DEMO_HOST")
    return Path(given) if given else built_demo_host()


@pytest.fixture(scope="session")
def upstream_process() -> Iterator[Upstream]:
    server = start_upstream()
    yield Upstream(server)
    assert server.stop() == 0
    assert server.log() == ""


@pytest.fixture
def upstream(upstream_process: Upstream) -> Upstream:
    upstream_process.server.get("/control/reset", "POST")
    return upstream_process


@pytest.fixture
def start_host(
    upstream: Upstream, library: Path, demo_host: Path, tmp_path: Path
) -> Iterator[StartHost]:
    """Starts demo hosts; every one must end with status 0 when it is told to."""
    hosts: list[Host] = []
    numbers = itertools.count()

    def start(
        index: str | Path | None = "memory",
        config: Json = None,
        upstream_url: str = upstream.url,
        options: tuple[str, ...] = (),
        program: Path = demo_host,
        library: Path = library,
        **popen: Any,
    ) -> Host:
        arguments = [*options, *(["--index", str(index)] if index else [])]
        if config is not None:
            path = tmp_path / f"config-{next(numbers)}.json"
            path.write_text(json.dumps(config))
            arguments += ["--config", str(path)]
        server = start_demo_host(program, library, upstream_url, *arguments, **popen)
        hosts.append(Host(server))
        return hosts[-1]

    yield start
    for host in hosts:
        try:
            assert host.stop() == 0, host.log()
        except subprocess.TimeoutExpired:
            pytest.fail(f"the demo host does not stop\n{host.log()}")


@pytest.fixture(params=["memory", "sqlite"])
def host(request: pytest.FixtureRequest, start_host: StartHost, tmp_path: Path) -> Host:
    """A demo host with each kind of index."""
    return start_host("memory" if request.param == "memory" else tmp_path / "index")


@pytest.fixture
def memory_host(start_host: StartHost) -> Host:
    """A demo host, where the kind of index does not matter."""
    return start_host()
