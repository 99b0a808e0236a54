"""Lists and tables as text."""

from __future__ import annotations

from typing import Iterable, Sequence


def first_few(items: Sequence[object], shown: int, separator: str = ", ") -> str:
    """List the first ``shown`` items and the number of the others: ``a, b and 3 more``."""
    more = len(items) - shown
    listed = separator.join(str(item) for item in items[:shown])
    return f"{listed} and {more} more" if more > 0 else listed


def markdown_table(header: Sequence[object], rows: Iterable[Sequence[object]], align: str = "") -> str:
    """Format a Markdown table; ``align`` has ``l`` or ``r`` for each column, the last for all further ones."""
    letters = (align or "l").ljust(len(header), (align or "l")[-1])
    rules = ["---:" if letter == "r" else "---" for letter in letters[: len(header)]]
    lines = ([str(cell).replace("|", r"\|") for cell in cells] for cells in (header, rules, *rows))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
