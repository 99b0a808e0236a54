"""Examples as one self-contained HTML page with a slider."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path
from typing import Sequence

from ..utils.files import write_text
from .sheet import Example, Panel, panel_png

# Without JavaScript every example is shown, one below the other.
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.4 system-ui, sans-serif; margin: 1rem auto; max-width: 62rem; padding: 0 1rem; }}
h1 {{ font-size: 1.4rem; }} h2 {{ font-size: 1.1rem; margin: 0.5rem 0; }}
.slider {{ display: flex; gap: 1rem; align-items: center; flex-wrap: wrap; }}
.slider input {{ flex: 1; min-width: 12rem; height: 1.5rem; }}
:focus-visible {{ outline: 3px solid #1a73e8; outline-offset: 3px; }}
.panels {{ display: grid; gap: 0.8rem; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); }}
@media (max-width: 36rem) {{ .panels {{ grid-template-columns: repeat(2, minmax(0, 1fr)); }} }}
figure {{ display: flex; flex-direction: column; justify-content: flex-end; margin: 0; }}
figcaption {{ white-space: pre-line; overflow-wrap: anywhere; margin-bottom: 0.25rem; font-size: 0.95rem; }}
img {{ width: 100%; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{note}</p>
<div class="slider" id="control" hidden>
<label for="slider">Example</label>
<input type="range" id="slider" min="1" max="{count}" value="1" step="1">
<output id="which" for="slider" aria-live="polite"></output>
</div>
{examples}
</main>
<script>
const examples = [...document.querySelectorAll("article")];
const slider = document.getElementById("slider"), which = document.getElementById("which");
function show(number) {{
  const chosen = Math.min(Math.max(Math.round(number) || 1, 1), examples.length);
  examples.forEach((example, index) => {{ example.hidden = index + 1 !== chosen; }});
  slider.value = chosen;
  which.textContent = chosen + " of " + examples.length;
  slider.setAttribute("aria-valuetext", "example " + which.textContent);
}}
const fromAddress = () => show(Number(location.hash.slice(1)));
slider.addEventListener("input", () => {{
  show(Number(slider.value));
  history.replaceState(null, "", "#" + slider.value);
}});
addEventListener("hashchange", fromAddress);
document.getElementById("control").hidden = false;
fromAddress();
</script>
</body>
</html>
"""


def save_page(examples: Sequence[Example], path: str | Path, title: str, note: str) -> None:
    """Write one or more examples as one self-contained HTML file, with a title and a sentence below it.

    A slider moves through them, by pointer and by keyboard; ``#3`` at the end of the address opens the third.

    Raises:
        ValueError: there is no example.
    """
    if not examples:
        raise ValueError("There should be at least one example for the page, got none.")
    articles = "\n".join(
        f'<article style="--columns: {example.columns}">\n<h2>{escape(example.title)}</h2>\n'
        f'<div class="panels">\n{"".join(map(_figure, example.panels))}</div>\n</article>'
        for example in examples
    )
    write_text(path, PAGE.format(title=escape(title), note=escape(note), count=len(examples), examples=articles))


def _figure(panel: Panel) -> str:
    image = panel_png(panel)
    return (
        f'<figure><figcaption>{escape(panel.caption)}</figcaption><img src="data:image/png;base64,'
        f'{base64.b64encode(image).decode()}" alt="{escape(panel.alt)}"></figure>\n'
    )
