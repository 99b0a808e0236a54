"""Lists and tables as text."""

from __future__ import annotations

from typing import Iterable, Sequence


def first_few(items: Sequence[object], shown: int, separator: str = ", ") -> str:
    """List the first ``shown`` items and the number of the others: ``a, b and 3 more``."""
    more = len(items) - shown
    listed = separator.join(str(item) for item in items[:shown])
    return f"{listed} and {more} more" if more > 0 else listed


def markdown_table(header: Sequence[object], rows: Iterable[Sequence[object]], align: str = "") -> str:
    """Format a Markdown table.

    Args:
        header: Titles of the columns.
        rows: Cells of each row, as many as titles.
        align: A letter for each column, ``l`` or ``r``; the last letter holds for all further columns. Defaults
            to ``l``.
    """
    letters = (align or "l").ljust(len(header), (align or "l")[-1])
    rules = ["---:" if letter == "r" else "---" for letter in letters[: len(header)]]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in (header, rules, *rows))
