"""The tool cache's part of the package against the header and the stub; types of its use."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
import satchel
from conftest import REPOSITORY
from satchel import _core, _tool_cache

if TYPE_CHECKING:
    from pathlib import Path

HEADER = (REPOSITORY / "include" / "satchel" / "satchel.h").read_text()
KINDS = [_core.ToolCache, _core.ToolResult, _core.ToolLease, _core.ToolWriter]


def test_forms_have_the_headers_numbers() -> None:
    numbers = re.findall(r"\bSATCHEL_FINGERPRINT_(\w+) = (\d+)", HEADER)
    assert {name.lower(): int(number) for name, number in numbers} == _tool_cache._FORMS


@pytest.mark.parametrize("kind", KINDS)
def test_the_stub_has_every_method(kind: type) -> None:
    stub = (REPOSITORY / "python" / "satchel" / "_core.pyi").read_text()
    [text] = re.findall(rf"^class {kind.__name__}:\n((?:    .*\n|\n)+)", stub, re.M)
    methods = set(re.findall(r"^    def (\w+)", text, re.M))
    assert methods == {method for method in vars(kind) if not method.startswith("_")}


@pytest.mark.parametrize("kind", KINDS)
def test_handles_are_made_by_their_functions_only(kind: type) -> None:
    with pytest.raises(TypeError):
        kind()
    with pytest.raises(TypeError):
        kind.__new__(kind)


def test_everything_public_is_documented() -> None:
    for kind in (
        satchel.ToolCache,
        satchel.Lookup,
        satchel.Hit,
        satchel.Lease,
        satchel.ToolWriter,
        satchel.Computing,
        satchel.Root,
        satchel.ToolStore,
    ):
        for name, value in vars(kind).items():
            if not name.startswith("_") and (callable(value) or isinstance(value, property)):
                assert value.__doc__, f"{kind.__name__}.{name}"


SAMPLE = """
    import asyncio, json, os
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Union
    import satchel
    from typing_extensions import assert_type

    class Store:
        def persist(self, key: str, payload: bytes, meta: bytes) -> None: ...
        def lookup(self, key: str) -> Union[tuple[bytes, str], None]: return None
        def remove(self, key: str) -> bool: return False
        def contains(self, key: str) -> bool: return False
        def iterate(self) -> Iterable[tuple[str, bytes]]: return []
        def total_bytes(self) -> int: return 0
        def evict_to_cap(self, cap: int) -> list[str]: return []

    store: satchel.ToolStore = Store()
    tools = satchel.ToolCache(Path("store"), workspace=b"/work", config={"strict": True})
    satchel.ToolCache(host_store=store)
    key = satchel.tool_key(b"call")
    fingerprint = tools.fingerprint("a")
    assert_type(fingerprint, Union[str, None])
    roots = [] if fingerprint is None else [satchel.Root("a", fingerprint)]
    tools.persist(key, memoryview(b""), "read", roots=roots, upstreams=[key])
    tools.persist(key, b"", "read", roots=[(b"a", "stat:1:2:3"), satchel.Root(Path("b"), "x")])
    found = tools.lookup_revalidate(key)
    if found:
        assert_type(found.payload, bytes)
        assert_type(found.roots, list[satchel.Root])
    begun = tools.get_or_begin(key, "read", roots=["a", Path("b"), satchel.Root("c", form="stat")])
    if isinstance(begun, satchel.Hit):
        assert_type(begun, satchel.Hit)
    elif isinstance(begun, satchel.Lease):
        stored = begun.commit(b"")
        assert_type(stored.reason, Union[str, None])
    else:
        assert_type(begun, satchel.Wait)

    @tools.cached(kind="read", roots=lambda path: [path])
    def read(path: str, *, limit: int = 5) -> bytes:
        return b""

    @tools.cached(dumps=json.dumps, loads=json.loads)
    async def names(path: "os.PathLike[str]") -> list[str]:
        return []

    class Tool:
        @tools.cached(key=lambda self, path: path)
        def read(self, path: str) -> str:
            return path

    assert_type(read("a", limit=3), bytes)
    assert_type(asyncio.run(names(Path("a"))), list[str])
    assert_type(Tool().read("a"), str)
    read(5)  # wrong
    assert_type([entry for entry in tools.entries()][0]["key"], object)  # wrong: Any
    with tools.writer(key, "read") as writer:
        assert_type(writer.write(b""), int)

    async def block() -> bytes:
        async with tools.computing(key, "read") as computing:
            if computing.hit is None:
                await computing.acommit(b"")
            return computing.payload
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
