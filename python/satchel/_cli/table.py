"""Rows in columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Sequence


def lines_of(
    header: Sequence[str], rows: Sequence[Sequence[str]], right: Container[str] = ()
) -> list[str]:
    """Lays rows out.

    Args:
        header: The columns' names.
        rows: As many texts each.
        right: Names of the columns that are aligned at their right.
    """
    table = [header, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    aligned_right = [name in right for name in header]
    lines = []
    for row in table:
        cells = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(row, widths, aligned_right)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
