"""docs/python.md does what it says."""

from __future__ import annotations

import contextlib
import io
import re
from typing import TYPE_CHECKING, Any

from conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PAGE = REPOSITORY / "docs" / "python.md"


def test_every_block_of_the_page_runs_and_prints_what_stands_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text()
    blocks = re.findall(r"```python\n(.*?)```\n(?:```text\n(.*?)```)?", text, re.S)
    assert len(blocks) == text.count("```python")
    names: dict[str, Any] = {}
    for code, expected in blocks:
        line = text[: text.index(code)].count("\n")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * line + code, str(PAGE), "exec"), names)
        assert printed.getvalue() == expected
    assert names["cache"].closed
