"""What a report is made of, whatever it is written as.

Texts may hold ``**strong**`` and `code`, as in Markdown.
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
    """Sentences."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list without numbers."""

    texts: Sequence[str]


@dataclass(frozen=True)
class Code:
    """Commands, a line each."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table: names on the left, numbers on the right.

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
        chart: drawn on white, so that a dark page may turn it dark; False for photographs.
    """

    names: Sequence[str]
    titles: Sequence[str]
    chart: bool = True


Block = Union[Heading, Paragraph, Items, Code, Table, Images]
