"""A report in Markdown as a self-contained web page."""

from __future__ import annotations

import base64
import re
from html import escape
from pathlib import Path

from ..run import SHEET

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


def format_page(markdown: str, folder: Path) -> str:
    """Markdown as an HTML page with the images of a folder inside.

    Args:
        markdown: blocks between blank lines: ``# headings``, the first of which is the title, paragraphs, ``- items``,
            code, tables, and lines of ``![what it shows](NAME)``. Texts may contain ``**strong**`` and `code`.
        folder: has the images, PNG; all but the sheet of mixed images are charts, which a dark page inverts.
    """
    title = re.match("# (.*)", markdown)
    assert title is not None
    body = "\n".join(_format_block(block, folder) for block in markdown.split("\n\n"))
    return _PAGE.format(title=escape(title[1]), body=body)


def _format_block(block: str, folder: Path) -> str:
    lines = block.split("\n")
    if heading := re.match("(#+) (.*)", block):
        level = len(heading[1])
        return f"<h{level}>{_inline(heading[2])}</h{level}>"
    if block.startswith("- "):
        items = re.split(r"\n(?=- )", block)
        return "\n".join(["<ul>", *(f"<li>{_inline(text[2:])}</li>" for text in items), "</ul>"])
    if block.startswith("```"):
        code = "\n".join(lines[1:-1])
        return f'<pre tabindex="0"><code>{escape(code)}</code></pre>'
    if block.startswith("| "):
        heads, _, *rows = [[cell.replace(r"\|", "|") for cell in line[2:-2].split(" | ")] for line in lines]
        return _format_table(heads, rows)
    if block.startswith("!["):
        return "\n".join(_format_image(*line[2:-1].split("]("), folder=folder) for line in lines)
    return f"<p>{_inline(block)}</p>"


def _format_table(heads: list[str], rows: list[list[str]]) -> str:
    """A table, with names in the first column and numbers in the others."""
    head = "".join(f'<th scope="col">{_inline(text)}</th>' for text in heads)
    body = "\n".join(
        f'<tr><th scope="row">{_inline(first)}</th>{"".join(f"<td>{_inline(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    # With a tabindex, a table wider than the screen can be scrolled by keyboard.
    return (
        f'<div class="scroll" role="region" aria-label="{escape(heads[0])}" tabindex="0"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _format_image(title: str, name: str, *, folder: Path) -> str:
    kind = "" if name == SHEET else ' class="chart" tabindex="0"'
    image = base64.b64encode((folder / name).read_bytes()).decode()
    return f'<figure{kind}><img src="data:image/png;base64,{image}" alt="{escape(title)}"></figure>'


def _inline(text: str) -> str:
    """Escaped text, with ``**strong**`` and `code` as HTML."""
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(text))
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
