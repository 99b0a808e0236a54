"""The report as a self-contained web page."""

from __future__ import annotations

import base64
import re
from html import escape
from pathlib import Path
from typing import Sequence

from .document import Block, Code, Heading, Images, Items, Paragraph, Table

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


def format_page(blocks: Sequence[Block], folder: Path) -> str:
    """Blocks as an HTML page with its images inside.

    Args:
        blocks: the first heading is the title.
        folder: of the images.
    """
    title = next(block.text for block in blocks if isinstance(block, Heading))
    return _PAGE.format(title=escape(title), body="\n".join(_format(block, folder) for block in blocks))


def _format(block: Block, folder: Path) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{_inline(block.text)}</h{block.level}>"
    if isinstance(block, Paragraph):
        return f"<p>{_inline(block.text)}</p>"
    if isinstance(block, Items):
        return "\n".join(["<ul>", *(f"<li>{_inline(text)}</li>" for text in block.texts), "</ul>"])
    if isinstance(block, Code):
        lines = "\n".join(block.lines)
        return f'<pre tabindex="0"><code>{escape(lines)}</code></pre>'
    if isinstance(block, Images):
        kind = ' class="chart" tabindex="0"' if block.chart else ""
        return "\n".join(
            f'<figure{kind}><img src="{_data_uri(folder / name)}" alt="{escape(title)}"></figure>'
            for name, title in zip(block.names, block.titles)
        )
    return _table(block)


def _table(table: Table) -> str:
    heads = "".join(f'<th scope="col">{_inline(text)}</th>' for text in table.heads)
    rows = "\n".join(map(_row, table.rows))
    # With a tabindex, a table wider than the screen can be scrolled by keyboard.
    return (
        f'<div class="scroll" role="region" aria-label="{escape(table.heads[0])}" tabindex="0"><table>\n'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>"
    )


def _row(row: Sequence[str]) -> str:
    first, *rest = map(_inline, row)
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'


def _inline(text: str) -> str:
    """Escaped text, with ``**strong**`` and `code` as HTML."""
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(text))
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)


def _data_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
