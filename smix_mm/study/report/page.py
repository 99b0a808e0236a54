"""The elements of a report, as Markdown and as a self-contained web page."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Sequence, Union

from ...utils.text import markdown_table

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --line: #ccc; --back: #f4f4f4; }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 1rem auto; max-width: 62rem; padding: 0 1rem; }}
h1 {{ font-size: 1.6rem; line-height: 1.25; }} h2 {{ font-size: 1.25rem; margin-top: 2rem; }} h3 {{ font-size: 1rem; }}
h1, h2, h3 {{ break-after: avoid; }}
p, li {{ max-width: 46rem; overflow-wrap: anywhere; }} li {{ margin-bottom: 0.4rem; }} ul {{ padding-left: 1.2rem; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }}
th, td {{ border-bottom: 1px solid var(--line); padding: 0.3rem 0.7rem; text-align: right; white-space: nowrap; }}
thead th {{ vertical-align: bottom; white-space: normal; }}
th:first-child {{ text-align: left; padding-left: 0; }}
code, pre {{ background: var(--back); border-radius: 3px; font-size: 0.9em; padding: 0.1em 0.3em; }}
pre {{ overflow-x: auto; padding: 0.7rem; }}
pre code {{ padding: 0; }}
figure {{ break-inside: avoid; margin: 1rem 0; }}
figure img {{ height: auto; max-width: 100%; }}
:focus-visible {{ outline: 3px solid #1a73e8; outline-offset: 3px; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --line: #555; --back: #2a2a2a; }}
  figure.chart img {{ filter: invert(0.9) hue-rotate(180deg); }}
}}
@media (max-width: 40rem) {{
  table {{ font-size: 0.8rem; }} th, td {{ padding: 0.3rem 0.35rem; }} tbody th {{ white-space: normal; }}
  th:first-child {{ background: Canvas; left: 0; position: sticky; }}
  figure.chart {{ overflow-x: auto; }} figure.chart img {{ max-width: none; width: 40rem; }}
}}
@media print {{
  body {{ font-size: 10pt; margin: 0; max-width: none; }}
  .scroll {{ overflow: visible; }}
  table {{ font-size: 8pt; }} th, td {{ padding: 0.2rem 0.3rem; white-space: normal; }} tr {{ break-inside: avoid; }}
  pre {{ white-space: pre-wrap; }}
}}
</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title. Its text, like all texts, may contain ``**strong**`` and `code`."""

    level: int
    text: str

    def markdown(self) -> str:
        return f"{'#' * self.level} {self.text}"

    def html(self, folder: Path) -> str:
        return f"<h{self.level}>{_inline(self.text)}</h{self.level}>"


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text."""

    text: str

    def markdown(self) -> str:
        return self.text

    def html(self, folder: Path) -> str:
        return f"<p>{_inline(self.text)}</p>"


@dataclass(frozen=True)
class Items:
    """An unordered list."""

    texts: Sequence[str]

    def markdown(self) -> str:
        return "\n".join(f"- {text}" for text in self.texts)

    def html(self, folder: Path) -> str:
        return "\n".join(["<ul>", *(f"<li>{_inline(text)}</li>" for text in self.texts), "</ul>"])


@dataclass(frozen=True)
class Code:
    """Shell commands, one a line."""

    lines: Sequence[str]

    def markdown(self) -> str:
        return "\n".join(["```bash", *self.lines, "```"])

    def html(self, folder: Path) -> str:
        lines = "\n".join(self.lines)
        return f'<pre tabindex="0"><code>{escape(lines)}</code></pre>'


@dataclass(frozen=True)
class Table:
    """A table, with names in the first column and numbers in the others."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        return markdown_table(self.heads, self.rows, "lr")

    def html(self, folder: Path) -> str:
        heads = "".join(f'<th scope="col">{_inline(text)}</th>' for text in self.heads)
        rows = "\n".join(
            f'<tr><th scope="row">{_inline(first)}</th>{"".join(f"<td>{_inline(cell)}</td>" for cell in rest)}</tr>'
            for first, *rest in self.rows
        )
        # With a tabindex, a table wider than the screen can be scrolled by keyboard.
        return (
            f'<div class="scroll" role="region" aria-label="{escape(self.heads[0])}" tabindex="0"><table>\n'
            f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>"
        )


@dataclass(frozen=True)
class Images:
    """PNG files beside the report with what each shows; charts, which a dark page inverts, or photographs."""

    names: Sequence[str]
    titles: Sequence[str]
    chart: bool = True

    def markdown(self) -> str:
        return "\n".join(f"![{title}]({name})" for name, title in zip(self.names, self.titles))

    def html(self, folder: Path) -> str:
        kind = ' class="chart" tabindex="0"' if self.chart else ""
        images = [base64.b64encode((folder / name).read_bytes()).decode() for name in self.names]
        return "\n".join(
            f'<figure{kind}><img src="data:image/png;base64,{image}" alt="{escape(title)}"></figure>'
            for image, title in zip(images, self.titles)
        )


Block = Union[Heading, Paragraph, Items, Code, Table, Images]


def format_markdown(blocks: Sequence[Block]) -> str:
    """Blocks as Markdown."""
    return "\n\n".join(block.markdown() for block in blocks)


def format_page(blocks: Sequence[Block], folder: Path) -> str:
    """Blocks as an HTML page, whose title is the first heading, with the images of a folder inside."""
    title = next(block.text for block in blocks if isinstance(block, Heading))
    return _PAGE.format(title=escape(title), body="\n".join(block.html(folder) for block in blocks))


def _inline(text: str) -> str:
    """Escaped text, with ``**strong**`` and `code` as HTML."""
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(text))
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
