"""README.md and docs/ do what they say.

Every fenced block is of a kind known here. In the order of the page, in a scratch directory that
has the clone's contents:

sh, python     is run; a text block right below it is what it prints
c, lua         is a part of a program in docs/examples, which is compiled and run
json           is a configuration that the library takes
text           is looked at only below sh and python

docs/python.md has a test of its own, tests/python/test_docs.py; of it only links are checked.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SATCHEL_BUILD", REPOSITORY / "build" / "release"))
DOCS = REPOSITORY / "docs"
EXAMPLES = DOCS / "examples"
PAGES = [REPOSITORY / "README.md", *sorted(DOCS.glob("*.md"))]
RUN_HERE = [page for page in PAGES if page.name != "python.md"]
KINDS = {"sh", "python", "c", "lua", "json", "text"}
SECONDS = 600


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


# ------------------------------------------------------------------------------------ reading


@dataclass
class Fence:
    kind: str
    text: str
    line: int
    expected: str | None  # the text block that follows at once


def fences_of(page: Path) -> list[Fence]:
    text = page.read_text(encoding="utf-8")
    found = list(re.finditer(r"^```(\S*)\n(.*?)^```$", text, re.S | re.M))
    fences = []
    for this, following in zip(found, [*found[1:], None]):
        expected = None
        if following is not None and following.group(1) == "text":
            adjacent = not text[this.end() : following.start()].strip("\n")
            expected = following.group(2) if adjacent else None
        line = text.count("\n", 0, this.start()) + 1
        fences.append(Fence(this.group(1), this.group(2), line, expected))
    assert 2 * len(found) == len(re.findall(r"^```", text, re.M)), (
        f"{page}: a fence without its end"
    )
    return fences


def prose_of(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)


def numbers_of(cell: str) -> list[int]:
    return [int(number) for number in re.findall(r"-?\d+", cell)]


# ------------------------------------------------------------------------------------ running


@dataclass
class Scratch:
    """The clone seen from elsewhere, with the library installed beside it."""

    directory: Path
    environment: dict[str, str]

    def run(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            **options,
        )


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prefix = tmp_path_factory.mktemp("prefix")
    subprocess.run(
        ["cmake", "--install", BUILD, "--prefix", prefix], check=True, stdout=subprocess.DEVNULL
    )
    return prefix


@pytest.fixture(scope="session")
def package_config(installed: Path) -> Path:
    (found,) = installed.glob("**/satchel.pc")
    return found.parent


@pytest.fixture
def scratch(tmp_path: Path, package_config: Path) -> Scratch:
    for entry in REPOSITORY.iterdir():
        if entry.name not in {"build", ".git"}:
            (tmp_path / entry.name).symlink_to(entry)
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "release").symlink_to(BUILD)
    environment = {
        **os.environ,
        "PKG_CONFIG_PATH": str(package_config),
        "LD_LIBRARY_PATH": str(package_config.parent),
        "LC_ALL": "C",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    return Scratch(tmp_path, environment)


@pytest.mark.parametrize("page", RUN_HERE, ids=name_of)
def test_the_commands_and_programs_of_a_page_run_and_print_what_stands_below(
    page: Path, scratch: Scratch
) -> None:
    for fence in fences_of(page):
        if fence.kind == "sh":
            ran = scratch.run(["bash", "-euo", "pipefail", "-c", fence.text])
        elif fence.kind == "python":
            ran = scratch.run([sys.executable, "-c", fence.text])
        else:
            continue
        where = f"{name_of(page)}:{fence.line}"
        assert ran.returncode == 0, f"{where}\n{ran.stdout}{ran.stderr}"
        if fence.expected is not None:
            assert ran.stdout == fence.expected, where


@pytest.mark.parametrize("source", sorted(EXAMPLES.glob("*.c")), ids=name_of)
def test_an_example_in_c_compiles_with_every_warning_an_error_and_runs(
    source: Path, scratch: Scratch
) -> None:
    flags = "-std=c99 -pedantic -Wall -Wextra -Werror"
    command = f"cc {flags} {source} $(pkg-config --cflags --libs satchel) -o example && ./example"
    ran = scratch.run(["bash", "-euo", "pipefail", "-c", command])
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stderr == ""


# --------------------------------------------------------------------------------- what they say


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_of_a_kind_that_is_tested(page: Path) -> None:
    unknown = [f"line {f.line}: {f.kind!r}" for f in fences_of(page) if f.kind not in KINDS]
    assert unknown == []


@pytest.mark.parametrize("page", RUN_HERE, ids=name_of)
def test_code_that_is_quoted_stands_in_an_example(page: Path) -> None:
    for fence in fences_of(page):
        if fence.kind not in {"c", "lua"}:
            continue
        programs = [path.read_text(encoding="utf-8") for path in EXAMPLES.glob(f"*.{fence.kind}")]
        assert any(fence.text in program for program in programs), (
            f"{name_of(page)}:{fence.line} is in no program of docs/examples"
        )


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", prose_of(page), re.M)
    words = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in words}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_row_belongs_to_a_table(page: Path) -> None:
    # One behind a blank line is shown as text.
    tables = re.findall(r"(?:^\|.*\n?)+", prose_of(page), re.M)
    headless = [table for table in tables if not re.match(r".*\n\|(?: ?:?-+:? ?\|)+\n", table)]
    assert headless == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
        if link.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_that_is_named_exists(page: Path) -> None:
    top = "|".join(re.escape(entry.name) for entry in REPOSITORY.iterdir() if entry.is_dir())
    named = re.findall(rf"`((?:{top})/[^`\s…]*)`", prose_of(page))
    missing = [
        path
        for path in named
        if not path.startswith("build/") and not list(REPOSITORY.glob(path.rstrip("/")))
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_make_target_and_preset_that_is_named_exists(page: Path) -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    presets = json.loads((REPOSITORY / "CMakePresets.json").read_text(encoding="utf-8"))
    known = {preset["name"] for preset in presets["configurePresets"]}
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`make ([a-z ]+?)(?: [A-Z_]+=\S*)*`", text)
    assert {target for targets_ in named for target in targets_.split()} - targets == set()
    assert set(re.findall(r"--preset[ =]([\w-]+)", text)) - known == set()


# ------------------------------------------------------------------------------------ the contract


def constants_of(pattern: str) -> set[str]:
    header = (REPOSITORY / "include" / "satchel" / "satchel.h").read_text(encoding="utf-8")
    return set(re.findall(rf"^\s+({pattern}) = ", header, re.M))


def test_c_md_says_what_to_do_at_every_status() -> None:
    enum = re.search(
        r"enum \{\s*SATCHEL_OK.*?\};",
        (REPOSITORY / "include" / "satchel" / "satchel.h").read_text(encoding="utf-8"),
        re.S,
    )
    assert enum is not None
    statuses = set(re.findall(r"(SATCHEL_\w+) =", enum.group()))
    assert statuses - set(re.findall(r"`(SATCHEL_\w+)`", (DOCS / "c.md").read_text())) == set()


def test_prompt_cache_md_has_every_fate_of_a_commit() -> None:
    page = (DOCS / "prompt-cache.md").read_text(encoding="utf-8")
    assert constants_of(r"SATCHEL_COMMIT_\w+") - set(re.findall(r"`(SATCHEL_\w+)`", page)) == set()


@pytest.mark.parametrize(
    ("page", "engine"),
    [
        ("index.md", "prompt_cache"),
        ("scaling.md", "prompt_cache"),
        ("prompt-cache.md", "prompt_cache"),
        ("tool-cache.md", "tool_cache"),
        ("cascade.md", "cascade"),
    ],
)
def test_the_log_lines_of_a_page_are_those_of_the_code(page: str, engine: str) -> None:
    code = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("impl/" + engine, "abi")
        for path in sorted((REPOSITORY / folder).glob("*.[ch]pp"))
    )
    code = re.sub(r'"\s*\n\s*"', "", code)  # literals that stand in several lines
    text = (DOCS / page).read_text(encoding="utf-8")
    (table,) = re.findall(r"^\|[^\n]*the log says[^\n]*\n\|[-|]+\n((?:\|.*\n)+)", text, re.M)
    lines = [
        line
        for row in table.splitlines()
        for line in re.findall(r"`([^`]+)`", row[row[:-1].rindex("|") :])
    ]
    assert len(lines) >= 6
    for line in lines:
        if line.startswith("SATCHEL_"):
            continue
        fixed = re.split(rf"…|\bDIR\b(?:/{engine}\.db)?|\bNAME\b|\bN\b", line)
        missing = [
            part for part in fixed if part.strip(" :;,.") and part.strip(" :;,.") not in code
        ]
        assert missing == [], line


def test_dependencies_md_names_the_packages_that_are_installed() -> None:
    listed = (REPOSITORY / "scripts" / "debian-packages.txt").read_text(encoding="utf-8")
    packages = set(re.sub(r"#.*", "", listed).split())
    rows = re.findall(r"^\|.*\|$", (DOCS / "dependencies.md").read_text(encoding="utf-8"), re.M)
    assert set(re.findall(r"`([a-z0-9+.-]+)`", "\n".join(rows))) == packages


# ------------------------------------------------------------------------------------ configuration


class SatchelError(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("status", ctypes.c_int32),
        ("os_errno", ctypes.c_int32),
        ("reason", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
        ("message", ctypes.c_char * 488),
    )


class ToolPlace(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("store", ctypes.c_char_p),
        ("store_len", ctypes.c_size_t),
        ("workspace", ctypes.c_char_p),
        ("workspace_len", ctypes.c_size_t),
        ("host_store", ctypes.c_void_p),
    )


class CascadeParts(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("cache_dir", ctypes.c_char_p),
        ("cache_dir_len", ctypes.c_size_t),
        ("config_dirs", ctypes.c_void_p),
        ("config_dir_count", ctypes.c_size_t),
        ("files", ctypes.c_void_p),
        ("credentials", ctypes.c_void_p),
        ("transcripts", ctypes.c_void_p),
    )


class Library:
    """Opens libsatchel with configurations."""

    def __init__(self, path: Path) -> None:
        self._c = ctypes.CDLL(str(path))

    def _error(self) -> SatchelError:
        error = SatchelError()
        error.struct_size = ctypes.sizeof(error)
        return error

    def open(self, config: Any) -> str:
        """The message, empty for success."""
        text, handle, error = json.dumps(config).encode(), ctypes.c_void_p(), self._error()
        status = self._c.satchel_open(
            None, text, ctypes.c_size_t(len(text)), ctypes.byref(handle), ctypes.byref(error)
        )
        assert self._c.satchel_close(ctypes.byref(handle)) == 0
        return "" if status == 0 else error.message.decode()

    def open_tool_cache(self, config: Any) -> str:
        place = ToolPlace(ctypes.sizeof(ToolPlace), b"tool-store", len(b"tool-store"))
        return self._open_engine("tool_cache", ctypes.byref(place), config)

    def open_cache(self, config: Any) -> str:
        return self._open_engine("prompt_cache", None, config)

    def open_cascade(self, config: Any) -> str:
        parts = CascadeParts(ctypes.sizeof(CascadeParts), b"quota", len(b"quota"))
        return self._open_engine("cascade", ctypes.byref(parts), config)

    def _open_engine(self, engine: str, parts: Any, config: Any) -> str:
        library, handle, error = ctypes.c_void_p(), ctypes.c_void_p(), self._error()
        assert (
            self._c.satchel_open(None, None, ctypes.c_size_t(0), ctypes.byref(library), None) == 0
        )
        text = json.dumps(config).encode()
        status = getattr(self._c, f"satchel_{engine}_open")(
            library,
            parts,
            text,
            ctypes.c_size_t(len(text)),
            ctypes.byref(handle),
            ctypes.byref(error),
        )
        assert getattr(self._c, f"satchel_{engine}_close")(ctypes.byref(handle)) == 0
        assert self._c.satchel_close(ctypes.byref(library)) == 0
        return "" if status == 0 else error.message.decode()


@pytest.fixture(scope="session")
def library(installed: Path) -> Library:
    (found,) = installed.glob("**/libsatchel.so")
    return Library(found)


# Nobody is there: an index that cannot be opened is no error.
FLEET: dict[str, Any] = {
    "index.postgres": {"url": "postgresql://127.0.0.1:1/none"},
    "index.redis": {"urls": ["redis://127.0.0.1:1"]},
}
FLEET_INDEX = {
    "kind": "redis",
    "postgres": FLEET["index.postgres"],
    "redis": FLEET["index.redis"],
}


@dataclass
class Table:
    """A table of keys, and how to get a value to where it is configured."""

    heading: str
    rows: dict[str, dict[str, str]]

    def wrap(self, members: dict[str, Any]) -> Any:
        if self.heading == "models":
            return {"models": {"m": members}}
        if self.heading == "telemetry":
            return {"telemetry": members}
        if self.heading == "tokenizer":
            return {"tokenizer": {"url": "http://tokenizer.example", **members}}
        if self.heading == "index beside a tool store":
            return {"index": members}
        if self.heading == "remote over HTTP":
            needed = {"kind": "http", "url": "https://cache.example", "token": "t"}
            return {"remote": {**needed, **members}}
        if self.heading == "remote in Redis":
            shared = {"kind": "redis", "urls": ["redis://cache.example"], "key": "k" * 16}
            return {"remote": {**shared, **members}}
        if self.heading == "transcripts":
            return {"transcripts": members}
        if self.heading in FLEET:
            return {"index": {**FLEET_INDEX, self.heading[6:]: {**FLEET[self.heading], **members}}}
        if self.heading != "index":
            return members
        if "redis" in self.rows:
            members = {**FLEET_INDEX, **members}
        elif "postgres" in self.rows:
            members = {"kind": "postgres", "postgres": FLEET["index.postgres"], **members}
        if "path" in self.rows:
            members = {"kind": "sqlite", "path": "index", **members}
        return {"index": members}


def configuration_tables() -> list[Table]:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    tables = []
    for section in re.split(r"^#+ ", page, flags=re.M)[1:]:
        heading = section.partition("\n")[0]
        for block in re.findall(r"^\| key .*\n\|[-|]+\n((?:\|.*\n)+)", section, re.M):
            rows = {}
            for line in block.splitlines():
                key, kind, default, span, meaning = (c.strip() for c in line.strip("|").split("|"))
                rows[key.strip("`")] = {
                    "type": kind,
                    "default": default.strip("`"),
                    "range": span,
                    "meaning": meaning,
                }
            tables.append(Table(heading, rows))
    return tables


TABLES = configuration_tables()


TOOL_TABLES = {
    "satchel_tool_cache_open",
    "index beside a tool store",
    "remote over HTTP",
    "remote in Redis",
}
CASCADE_TABLES = {"satchel_cascade_open", "transcripts"}


def engine_of(table: Table) -> str:
    if table.heading in TOOL_TABLES:
        return "tool_cache"
    return "cascade" if table.heading in CASCADE_TABLES else "prompt_cache"


def keys_of(headings: set[str]) -> set[str]:
    return {key for table in TABLES if table.heading in headings for key in table.rows}


def open_with(library: Library, table: Table, members: dict[str, Any]) -> str:
    opens = library.open if table.heading == "satchel_open" else library.open_cache
    if table.heading in TOOL_TABLES:
        opens = library.open_tool_cache
    if table.heading in CASCADE_TABLES:
        opens = library.open_cascade
    return opens(table.wrap(members))


def test_configuration_md_has_all_tables() -> None:
    headings = [
        "satchel_open",
        "satchel_prompt_cache_open",
        "index",
        "index",
        "index",
        "index",
        "index.postgres",
        "index.redis",
        "tokenizer",
        "models",
        "telemetry",
        "satchel_tool_cache_open",
        "index beside a tool store",
        "remote over HTTP",
        "remote in Redis",
        "satchel_cascade_open",
        "transcripts",
    ]
    assert [table.heading for table in TABLES] == headings


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.heading}-{len(table.rows)}")
def test_the_keys_of_a_table_are_those_that_the_library_knows(
    table: Table, library: Library
) -> None:
    message = open_with(library, table, {"no such key": 1})
    known = message.partition("unknown key; known are ")[2].split(", ")
    assert sorted(known) == sorted(table.rows), message


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.heading}-{len(table.rows)}")
def test_the_range_of_every_integer_is_the_one_that_the_library_keeps(
    table: Table, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for key, row in table.rows.items():
        if row["type"] != "integer":
            continue
        message = open_with(library, table, {key: -1})
        assert numbers_of(message.partition("from ")[2]) == numbers_of(row["range"]), message
        least, most = numbers_of(row["range"])
        for value in (least, most, int(row["default"])):
            assert open_with(library, table, {key: value}) == "", key


@pytest.mark.parametrize(
    ("engine", "count"),
    [("prompt_cache", 10 + 8 + 1 + 3), ("tool_cache", 10 + 3 + 4), ("cascade", 4)],
)
def test_the_defaults_are_those_of_the_code(engine: str, count: int) -> None:
    code = "".join(
        path.read_text(encoding="utf-8")
        for path in sorted((REPOSITORY / "impl" / engine).glob("*config.hpp"))
    )
    defaults: dict[str, set[int]] = {}  # structs may share a name
    for key, value in re.findall(r"std::int64_t (\w+) = ([^;]+);", code):
        plain = re.sub(r"std::int64_t\{(\d+)\}", r"\1", value).replace("'", "")
        # Numbers and shifts.
        defaults.setdefault(key, set()).add(eval(plain, {"__builtins__": {}}))
    compared = 0
    for table in TABLES:
        if engine_of(table) != engine:
            continue
        for key, row in table.rows.items():
            if row["type"] == "integer" and key in defaults:
                assert int(row["default"]) in defaults[key], key
                compared += 1
    assert compared == count  # of the prompt cache, sweep_interval_ms stands in four tables


@pytest.mark.parametrize("page", RUN_HERE, ids=name_of)
def test_the_library_takes_every_configuration_of_a_page(
    page: Path, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for fence in fences_of(page):
        if fence.kind != "json":
            continue
        config = json.loads(fence.text)
        opens = library.open if "log_level" in config else library.open_cache
        if config.keys() - {"index"} and config.keys() <= keys_of(TOOL_TABLES):
            opens = library.open_tool_cache
        if config.keys() <= keys_of(CASCADE_TABLES):
            opens = library.open_cascade
        assert opens(config) == "", f"{name_of(page)}:{fence.line}"
