"""The package against the header that it stands on."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import re
import subprocess
import sys

import pytest
import satchel
from conftest import REPOSITORY
from satchel import _core, _errors

TYPE_ALIASES = {
    "Clock", "Credentials", "Headers", "Http", "Log", "ModelResolver", "PrincipalResolver", "Tier",
    "Transcripts",
}  # fmt: skip
HEADER = (REPOSITORY / "include" / "satchel" / "satchel.h").read_text()


def constants(prefix: str) -> dict[str, int]:
    found = re.findall(rf"\b{prefix}(\w+) = (-?\d+)", HEADER)
    assert found
    return {name: int(number) for name, number in found}


@pytest.mark.parametrize(
    ("prefix", "enum"),
    [
        ("SATCHEL_MARKER_", satchel.MarkerFault),
        ("SATCHEL_RESPONSE_", satchel.ResponsePlan),
        ("SATCHEL_COMMIT_", satchel.Commit),
    ],
)
def test_enums_have_the_headers_numbers(prefix: str, enum: type[satchel.Commit]) -> None:
    assert {member.name: member.value for member in enum} == constants(prefix)


def test_tiers_have_the_headers_numbers() -> None:
    from satchel._prompt import tier_of

    numbers = constants("SATCHEL_TIER_")
    assert {name.lower(): tier_of(number) for name, number in numbers.items()} == {
        tier: tier for tier in ("5m", "1h", "24h")
    }


def test_every_error_of_the_header_becomes_an_exception() -> None:
    for name, number in constants("SATCHEL_ERR_").items():
        error = _errors.from_status(number, f"ERR_{name}", "m", 0, 0)
        assert isinstance(error, satchel.Error)
        assert (error.status, str(error)) == (number, f"m [ERR_{name}]")
    assert set(_errors._BY_STATUS) - {2} <= set(constants("SATCHEL_ERR_").values())


def test_the_version_is_the_headers() -> None:
    [version] = re.findall(r'SATCHEL_VERSION_STRING "(.*)"', HEADER)
    [abi] = re.findall(r"SATCHEL_ABI_VERSION (\d+)", HEADER)
    assert satchel.__version__ == version
    assert satchel.abi_version() == int(abi)
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # from a build tree
        assert importlib.metadata.version("satchel") == version


def test_all_names_exist() -> None:
    assert sorted(satchel.__all__) == satchel.__all__
    for name in satchel.__all__:
        value = getattr(satchel, name)
        assert value.__doc__ or name in TYPE_ALIASES


def test_the_stub_names_what_the_module_has() -> None:
    stub = (REPOSITORY / "python" / "satchel" / "_core.pyi").read_text()
    top = set(re.findall(r"^(?:def|class) (\w+)", stub, re.M)) | {"version"}
    assert top == {name for name in vars(_core) if not name.startswith("_")}
    for name in ("PromptCache", "Request", "Outcome", "UsageFilter"):
        [text] = re.findall(rf"^class {name}:\n((?:    .*\n|\n)+)", stub, re.M)
        methods = set(re.findall(r"^    def (\w+)", text, re.M))
        real = {method for method in vars(getattr(_core, name)) if not method.startswith("_")}
        assert methods == real


def test_handles_are_made_by_their_functions_only() -> None:
    for kind in (_core.PromptCache, _core.Request, _core.Outcome, _core.UsageFilter):
        with pytest.raises(TypeError):
            kind()
        with pytest.raises(TypeError):
            kind.__new__(kind)
        with pytest.raises(TypeError):
            object.__new__(kind)


def test_importing_prints_nothing_and_needs_no_other_package() -> None:
    code = "import satchel, sys; print(sorted(m for m in sys.modules if 'typing_ext' in m))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
