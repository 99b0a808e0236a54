"""The report as Markdown."""

from __future__ import annotations

from typing import Sequence

from .document import Block, Code, Heading, Images, Items, Paragraph, Table


def format_markdown(blocks: Sequence[Block]) -> str:
    """Blocks as Markdown, without a line end."""
    return "\n\n".join(map(_format, blocks))


def _format(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {block.text}"
    if isinstance(block, Paragraph):
        return block.text
    if isinstance(block, Items):
        return "\n".join(f"- {text}" for text in block.texts)
    if isinstance(block, Code):
        return "\n".join(["```bash", *block.lines, "```"])
    if isinstance(block, Images):
        return "\n".join(f"![{title}]({name})" for name, title in zip(block.names, block.titles))
    return _table(block)


def _table(table: Table) -> str:
    lines = [table.heads, ["---", *["---:"] * (len(table.heads) - 1)], *table.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
