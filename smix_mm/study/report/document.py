"""The elements of a report, independent of its format.

Texts may contain ``**strong**`` and `code`, as in Markdown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence, Union


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text."""

    text: str


@dataclass(frozen=True)
class Items:
    """An unordered list."""

    texts: Sequence[str]


@dataclass(frozen=True)
class Code:
    """Shell commands, one a line."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table, with names in the first column and numbers in the others.

    Attributes:
        heads: of the columns.
        rows: a cell a column.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Images:
    """PNG files beside the report, one below the other.

    Attributes:
        names: of the files.
        titles: what each shows, in a few words.
        chart: whether it is a chart on white, which a dark page inverts; False for photographs.
    """

    names: Sequence[str]
    titles: Sequence[str]
    chart: bool = True


Block = Union[Heading, Paragraph, Items, Code, Table, Images]
