"""The cascade's part of the package against the header and the stub; types of its use."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
import satchel
from conftest import REPOSITORY
from satchel import _core

if TYPE_CHECKING:
    from pathlib import Path

HEADER = (REPOSITORY / "include" / "satchel" / "satchel.h").read_text()
PACKAGE = REPOSITORY / "python" / "satchel"


def test_faults_have_the_headers_numbers_and_the_files_names() -> None:
    numbers = re.findall(r"\bSATCHEL_USAGE_ERROR_(\w+) = (\d+)", HEADER)
    faults = {name: int(number) for name, number in numbers}
    assert {fault.name: fault.value for fault in satchel.UsageFault} == faults
    names = (REPOSITORY / "impl" / "cascade" / "usage_error.cpp").read_text()
    for fault in satchel.UsageFault:
        assert fault == satchel.UsageFault.NONE or f'"{fault.code}"' in names


def test_sources_have_the_headers_numbers() -> None:
    numbers = re.findall(r"\bSATCHEL_USAGE_([A-Z]+) = (\d+)", HEADER)
    assert {name: int(number) for name, number in numbers} == {
        source.name: source.value for source in satchel.UsageSource
    }


def test_every_fault_is_explained_on_the_command_line() -> None:
    from satchel._cli.usage_faults import explained

    for fault in satchel.UsageFault:
        assert explained(fault).startswith(f"{fault.code}: ")


def test_the_stub_has_every_method() -> None:
    stub = (PACKAGE / "_core.pyi").read_text()
    [text] = re.findall(r"^class Cascade:\n((?:    .*\n|\n)+)", stub, re.M)
    methods = set(re.findall(r"^    def (\w+)", text, re.M))
    assert methods == {name for name in vars(_core.Cascade) if not name.startswith("_")}


def test_handles_are_made_by_their_functions_only() -> None:
    with pytest.raises(TypeError):
        _core.Cascade()
    with pytest.raises(TypeError):
        _core.Cascade.__new__(_core.Cascade)


def test_everything_public_is_documented() -> None:
    for kind in (
        satchel.Cascade,
        satchel.HttpAnswer,
        satchel.HttpRequest,
        satchel.Tokens,
        satchel.TranscriptBlock,
        satchel.TranscriptWindows,
        satchel.Usage,
        satchel.UsageFault,
        satchel.UsageFiles,
        satchel.UsageSource,
        satchel.UsageUnavailable,
        satchel.Window,
    ):
        assert kind.__doc__
        for name, value in vars(kind).items():
            if not name.startswith("_") and (callable(value) or isinstance(value, property)):
                assert value.__doc__, f"{kind.__name__}.{name}"


SAMPLE = """
    import asyncio, http.client
    from collections.abc import Mapping
    from datetime import datetime, timedelta, timezone
    from pathlib import Path
    from typing import Any, Union
    import satchel
    from typing_extensions import assert_type

    class Files:
        def read(self, name: str) -> Union[tuple[bytes, int], None]: return None
        def write(self, name: str, data: bytes) -> None: ...
        def remove(self, name: str) -> None: ...

    def send(request: satchel.HttpRequest) -> satchel.HttpAnswer:
        assert_type(request.headers, tuple[tuple[str, str], ...])
        return satchel.HttpAnswer(200, b"{}", {"a": "b"})

    def count(now: datetime) -> satchel.TranscriptWindows:
        block = satchel.TranscriptBlock(now, satchel.Tokens(input=1))
        return satchel.TranscriptWindows(satchel.Tokens(), five_hour=block)

    credentials: satchel.Credentials = lambda: satchel.UsageFault.EMPTY_TOKEN
    files: satchel.UsageFiles = Files()
    cascade = satchel.Cascade(
        {"timeout_ms": 5}, cache_dir=Path("c"), config_dirs=[b"d", "e"], files=files,
        credentials=credentials, transcripts=count, http=send, log_level="off",
    )
    satchel.Cascade(config_dirs=5)  # wrong
    usage = cascade.resolve()
    assert_type(usage, satchel.Usage)
    assert_type(usage.error, Union[satchel.UsageFault, None])
    assert_type(usage.five_hour.utilization, Union[float, None])
    assert_type(usage.seven_day.resets_at, Union[datetime, None])
    assert_type(usage.age, timedelta)
    assert_type(usage.data, dict[str, Any])
    usage.age = timedelta()  # wrong: frozen
    assert_type(asyncio.run(cascade.aresolve()), satchel.Usage)
    def observed(answer: http.client.HTTPResponse, headers: Mapping[str, str]) -> bool:
        cascade.observe([(b"a", b"b")])
        cascade.observe(5)  # wrong
        return cascade.observe(answer.headers) and cascade.observe(headers)
    cascade.report(since=datetime.now(timezone.utc), utc_offset=timezone.utc)["days"]
    assert_type(cascade.metrics(), str)
    try:
        cascade.resolve()
    except satchel.UsageUnavailable as error:
        assert_type(error.fault.code, str)
"""


def test_types_of_its_use(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    sample = tmp_path / "sample.py"
    sample.write_text(textwrap.dedent(SAMPLE))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", sample],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"MYPYPATH": str(REPOSITORY / "python"), "PATH": ""},
    )
    wrong = [number for number, line in enumerate(SAMPLE.splitlines()[1:], 2) if "# wrong" in line]
    complained = [int(line) for line in re.findall(r"^sample\.py:(\d+): error", done.stdout, re.M)]
    assert complained == wrong, done.stdout + done.stderr
