"""`pip install .` from the clone, and an import outside it."""

from __future__ import annotations

import os
import subprocess
import textwrap
import venv
from typing import TYPE_CHECKING

import pytest
from conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path


def run(*command: str | Path, cwd: Path) -> str:
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("PYTHON")}
    done = subprocess.run(
        command, check=False, cwd=cwd, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_pip_install_from_the_clone_gives_a_package_that_works_elsewhere(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    # A build directory that stays makes the second run quick.
    build = f"--config-settings=build-dir={REPOSITORY / 'build' / 'python-install'}"
    run(python, "-m", "pip", "install", build, REPOSITORY, cwd=tmp_path)
    program = """
        import ctypes, pathlib, satchel
        package = pathlib.Path(satchel.__file__).parent
        assert (package / "py.typed").exists()
        maps = pathlib.Path("/proc/self/maps").read_text().splitlines()
        loaded = {line.split()[-1] for line in maps if "libsatchel" in line}
        assert loaded == {str(package / "libsatchel.so.0")}, loaded
        assert satchel.canonical_json(b'{ "b": 1, "a": 2 }') == b'{"a":2,"b":1}'
        with satchel.PromptCache() as cache:
            print(satchel.__version__, package.is_relative_to(pathlib.Path.cwd() / "venv"))
    """
    # Nothing of the clone: not its folder, not what it has built.
    printed = run(python, "-I", "-c", textwrap.dedent(program), cwd=tmp_path)
    version, inside = printed.split()
    assert inside == "True"
    installed = run(python, "-m", "pip", "list", "--format=freeze", cwd=tmp_path)
    assert f"satchel=={version}" in installed.splitlines()
    run(python, "-m", "pip", "uninstall", "-y", "satchel", cwd=tmp_path)
    assert not list((tmp_path / "venv").rglob("libsatchel*"))
