"""The page of mixed images, in a real browser."""

import io
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image, ImageColor

from smix_mm.visualization.browse import browse_mix
from smix_mm.visualization.page import save_page
from smix_mm.visualization.sheet import ANY, LEAST, MARK, MOST, TARGET, Example, Mark, Panel, panel_png

RIGHT, LEFT, HOME, END = "\ue014", "\ue012", "\ue011", "\ue010"
SHOWN = "return [...document.querySelectorAll('article')].map((each, i) => each.hidden ? 0 : i + 1).filter(Boolean)"


@pytest.fixture(scope="module")
def page(photographs, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "mix.html"
    browse_mix(photographs, html=path, number=5, seed=1)
    return path


def state(browser) -> tuple:
    return browser.run(SHOWN), browser.run("return which.textContent"), browser.run("return location.hash")


def test_the_keyboard_moves_the_slider_through_the_examples(browser, page):
    browser.open(page)
    assert state(browser) == ([1], "1 of 5", "")
    for keys, number in ((RIGHT, 2), (RIGHT, 3), (LEFT, 2), (END, 5), (RIGHT, 5), (HOME, 1)):
        browser.press("#slider", keys)
        assert state(browser) == ([number], f"{number} of 5", f"#{number}")
        assert browser.run("return slider.getAttribute('aria-valuetext')") == f"example {number} of 5"


def test_the_slider_is_reached_by_tab_and_dragged_by_pointer(browser, page):
    browser.open(page)
    browser.press("body", "\ue004")
    assert browser.run("return document.activeElement.id") == "slider"
    x, y, width = browser.run("const r = slider.getBoundingClientRect(); return [r.x, r.y + r.height / 2, r.width]")
    moves = [
        {"type": "pointerMove", "duration": 0, "x": round(x + 8), "y": round(y)},
        {"type": "pointerDown", "button": 0},
        {"type": "pointerMove", "duration": 50, "x": round(x + width * 0.75), "y": round(y)},
        {"type": "pointerUp", "button": 0},
    ]
    browser.call("POST", "/actions", actions=[{"type": "pointer", "id": "mouse", "actions": moves}])
    assert state(browser) == ([4], "4 of 5", "#4")


@pytest.mark.parametrize("fragment, shown", [("#3", 3), ("#99", 5), ("#0", 1), ("#nothing", 1)])
def test_an_address_opens_its_example(browser, page, fragment, shown):
    browser.open(page, fragment)
    assert browser.run(SHOWN) == [shown]
    assert browser.run("return slider.value") == str(shown)
    browser.run("location.hash = '#2'")
    assert browser.run(SHOWN) == [2]


def test_it_needs_no_network_and_logs_no_errors(browser, page):
    browser.console_messages()
    browser.open(page)
    entries = browser.run("return performance.getEntriesByType('resource').map(entry => entry.name.slice(0, 5))")
    assert set(entries) <= {"data:"}
    assert browser.console_messages() == []
    blocked = browser.run("return fetch('http://127.0.0.1:1/').then(() => 'sent', () => 'refused')")
    assert blocked == "refused" and "Content Security Policy" in " ".join(browser.console_messages())


def test_every_image_is_complete_and_has_an_alt_text(browser, page):
    browser.open(page)
    images = browser.run(
        "return Promise.all([...document.images].map(each => each.decode().then("
        "() => [each.naturalWidth, each.naturalHeight, each.alt])))"
    )
    assert len(images) == 20
    assert all(size == [224, 224] and len(alt) > 5 for *size, alt in images)
    words = images[1][2]
    assert words.startswith("saliency map of the source") and "most salient pixel at row" in words and "box of" in words
    slider = browser.find("#slider")
    assert browser.call("GET", f"/element/{slider}/computedlabel") == "Example"
    assert browser.call("GET", f"/element/{slider}/computedrole") == "slider"
    assert browser.run("return document.documentElement.lang") == "en"


@pytest.mark.parametrize("width", [1200, 520, 390])
def test_nothing_overlaps_or_overflows_at_any_width(browser, page, width):
    browser.call("POST", "/window/rect", width=width, height=900)
    browser.open(page)
    assert browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    boxes = browser.run(
        "return [...document.querySelectorAll('article:not([hidden]) figcaption, article:not([hidden]) img, h1, h2')]"
        ".filter(each => each.checkVisibility()).map(each => each.getBoundingClientRect().toJSON())"
    )
    assert len(boxes) == 2 + 2 * 4
    for index, one in enumerate(boxes):
        for other in boxes[index + 1 :]:
            apart_x = one["right"] <= other["left"] + 0.5 or other["right"] <= one["left"] + 0.5
            assert apart_x or one["bottom"] <= other["top"] + 0.5 or other["bottom"] <= one["top"] + 0.5


@pytest.mark.parametrize("symbol", [MOST, LEAST, ANY])
def test_box_and_mark_are_at_their_pixels(symbol):
    panel = Panel("map", np.zeros((20, 40), np.float32), (4, 8, 16, 32), TARGET, (Mark(10, 20, symbol),))
    drawn = np.asarray(Image.open(io.BytesIO(panel_png(panel))).convert("RGB"))
    assert drawn.shape == (120, 240, 3)

    def extent(colour: str) -> np.ndarray:
        near = np.abs(drawn.astype(int) - ImageColor.getrgb(colour)).max(2) < 60
        rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
        return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]) / 6

    assert np.allclose(extent(TARGET), (4, 8, 16, 32), atol=0.4)
    y1, x1, y2, x2 = extent(MARK)
    assert np.allclose([(y1 + y2) / 2, (x1 + x2) / 2], (10.5, 20.5), atol=0.2) and y2 - y1 > 1.5


def test_html_in_names_is_escaped(browser, tmp_path):
    evil = "<script>document.title = 'run'</script>&amp;\"'"
    panel = Panel(evil, np.zeros((4, 4, 3), np.uint8))
    save_page([Example(evil, (panel,), 1)], tmp_path / "page.html", evil, evil)
    browser.open(tmp_path / "page.html")
    assert browser.run("return [document.title, document.querySelector('h2').textContent]") == [evil, evil]
    assert (
        browser.run("return [document.images[0].alt, document.querySelector('figcaption').textContent]") == [evil] * 2
    )


def test_without_javascript_every_example_is_shown(page):
    text = page.read_text()
    assert text.count("<article") == 5 and "<article hidden" not in text
    assert 'id="control" hidden' in text


def test_the_dumped_page_shows_the_example_of_the_address(page, tmp_path):
    """Chromium without its driver."""
    binary = shutil.which("chromium")
    if binary is None:
        pytest.skip("no chromium on this machine")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    command = [binary, *flags.split(), f"--user-data-dir={tmp_path}", "--dump-dom", page.as_uri() + "#4"]
    dumped = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert dumped.count("<article") == 5 and dumped.count('hidden=""') == 4
    assert 'aria-valuetext="example 4 of 5"' in dumped and ">4 of 5</output>" in dumped


def test_a_page_without_examples_raises(tmp_path):
    with pytest.raises(ValueError, match="at least one example for the page"):
        save_page([], tmp_path / "page.html", "title", "note")
    assert not (tmp_path / "page.html").exists()
