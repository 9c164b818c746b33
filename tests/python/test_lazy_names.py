"""The package imports what is used of it, when it is used, and nobody notices."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest
import satchel
from conftest import REPOSITORY

SOURCE = (REPOSITORY / "python" / "satchel" / "__init__.py").read_text()


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_type_checkers_and_the_program_find_the_same_names_in_the_same_places() -> None:
    [checked] = [
        node
        for node in ast.parse(SOURCE).body
        if isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    ]
    declared = {
        alias.name: node.module
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert declared == satchel._HOME
    assert sorted([*declared, "abi_version"]) == satchel.__all__


def test_importing_it_imports_nothing_that_costs() -> None:
    code = "import sys; before = set(sys.modules); import satchel; print(set(sys.modules) - before)"
    assert set(ast.literal_eval(run(code))) == {"atexit", "satchel", "satchel._core"}


def test_star_and_from_imports_and_dir() -> None:
    code = """if True:
        import satchel
        assert set(satchel.__all__) <= set(dir(satchel))
        assert "Cascade" not in vars(satchel)
        from satchel import Cascade, PromptCache
        assert vars(satchel)["Cascade"] is Cascade is satchel.Cascade
        assert Cascade.__module__ == "satchel._cascade"
        names = {}
        exec("from satchel import *", names)
        assert set(satchel.__all__) <= set(names)
        import inspect, pydoc
        assert "class Cascade" in pydoc.plain(pydoc.render_doc(satchel.Cascade))
        print(len(inspect.getmembers(satchel)) > len(satchel.__all__))
    """
    assert run(code) == "True\n"


def test_what_is_not_there_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'satchel' has no attribute 'Nothing'"):
        satchel.Nothing  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Nothing'"):
        from satchel import Nothing  # type: ignore[attr-defined]  # noqa: F401
    assert not hasattr(satchel, "__wrapped__")


def test_threads_may_ask_at_the_same_time() -> None:
    code = """if True:
        import sys, threading
        sys.setswitchinterval(1e-6)
        import satchel
        together = threading.Barrier(8)
        found = []

        def ask():
            together.wait()
            found.append([getattr(satchel, name) for name in satchel.__all__])

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert all(each == found[0] for each in found)
        print(len(found))
    """
    assert run(code) == "8\n"
