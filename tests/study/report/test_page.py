"""The page of a report, in a real browser."""

import base64
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from smix_mm.study.report import report_study
from smix_mm.study.report.page import format_page
from smix_mm.utils.text import markdown_table

FIGURES = ["arms.png", "differences.png", "classes.png", "curves.png"]


@pytest.fixture(scope="module")
def report(whole_study, tmp_path_factory) -> Path:
    """The report of a study with a sheet of mixed images."""
    from PIL import Image

    study = tmp_path_factory.mktemp("page") / "study"
    shutil.copytree(whole_study, study)
    colours = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(colours).save(study / "mixed.png")
    report_study(study, study.parent / "out", samples=20)
    return study.parent / "out"


def test_the_page_holds_every_image_of_the_report_byte_for_byte(report):
    found = re.findall(r'src="data:image/png;base64,([^"]*)"', (report / "report.html").read_text())
    assert [base64.b64decode(image) for image in found] == [
        (report / name).read_bytes() for name in (*FIGURES, "mixed.png")
    ]


def test_it_opens_without_a_network_script_or_complaint(browser, report, tmp_path):
    alone = tmp_path / "report.html"
    shutil.copyfile(report / "report.html", alone)
    browser.console_messages()
    browser.open(alone)
    entries = browser.run("return performance.getEntriesByType('resource').map(entry => entry.name.slice(0, 5))")
    assert set(entries) <= {"data:"} and browser.console_messages() == []
    assert browser.run("return document.scripts.length") == 0
    sizes = browser.run(
        "return Promise.all([...document.images].map(each => each.decode().then(() => [each.naturalWidth, each.alt])))"
    )
    assert len(sizes) == 5 and sizes[-1] == [60, "mixed training images"]
    assert all(width > 500 and len(alt) > 10 for width, alt in sizes[:-1])


def test_the_page_has_the_text_of_the_markdown(browser, report):
    """Every heading, sentence and cell of report.md, in its order."""
    browser.open(report / "report.html")
    shown = browser.run(
        "return [...document.querySelectorAll('h1, h2, h3, p, li, tr, pre')].map(each => "
        "each.cells ? [...each.cells].map(cell => cell.textContent).join(' | ') : each.textContent)"
    )
    text = (report / "report.md").read_text().replace("**", "").replace("`", "")
    lines = [line for line in text.splitlines() if line and not line.startswith(("![", "| ---", "bash"))]
    expected = [line.lstrip("#").removeprefix("- ").strip("|").strip() for line in lines]
    shown = [line.strip() for entry in shown for line in entry.splitlines()]
    assert shown == expected
    assert "81.80 (n = 3)" in " ".join(shown)


@pytest.mark.parametrize("width", [1200, 500])
def test_nothing_but_tables_and_charts_is_wider_than_the_window(browser, report, width):
    browser.call("POST", "/window/rect", width=width, height=900)
    browser.open(report / "report.html")
    assert browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert browser.run("return [...document.querySelectorAll('p, li')].every(each => each.scrollWidth <= innerWidth)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_page_in_light_and_dark(browser, report, scheme):
    feature = [dict(name="prefers-color-scheme", value=scheme)]
    browser.call("POST", "/goog/cdp/execute", cmd="Emulation.setEmulatedMedia", params=dict(features=feature))
    browser.open(report / "report.html")
    # The system colour Canvas is what lies under a page without a colour of its own.
    ink, page, filtered = browser.run(
        "const probe = document.body.appendChild(document.createElement('i')); probe.style.background = 'Canvas';"
        "const rgb = colour => colour.match(/[0-9.]+/g).slice(0, 3).reduce((sum, each) => sum + Number(each), 0) / 3;"
        "return [rgb(getComputedStyle(document.body).color), rgb(getComputedStyle(probe).backgroundColor),"
        "getComputedStyle(document.querySelector('figure.chart img')).filter]"
    )
    assert (ink < 60 and page > 230) if scheme == "light" else (ink > 200 and page < 60)
    assert (filtered == "none") == (scheme == "light")


def test_html_in_texts_is_escaped(browser, tmp_path):
    evil = "<script>document.title = 'run'</script><b>&amp;\"'"
    blocks = [f"# {evil}", evil, f"- {evil}", f"```bash\n{evil}\n```", markdown_table([evil, evil], [[evil, evil]])]
    (tmp_path / "page.html").write_text(format_page("\n\n".join(blocks), tmp_path))
    browser.open(tmp_path / "page.html")
    shown = browser.run(
        "return [...document.querySelectorAll('h1, p, li, code, th, td')].map(each => each.textContent)"
    )
    assert shown == [evil] * 8
    assert browser.run("return document.title") == evil


def test_strong_words_code_and_tables_are_marked():
    table = markdown_table(["class", "AP"], [["cat | dog", 1]])
    page = format_page(f"# x\n\n**a − b**: `voc/mAP` < 1\n\n{table}", Path())
    assert '<tr><th scope="row">cat | dog</th><td>1</td></tr>' in page
    assert "<p><strong>a − b</strong>: <code>voc/mAP</code> &lt; 1</p>" in page


def test_software_and_command_of_the_runs_are_named_once(whole_study, tmp_path):
    study = tmp_path / "study"
    shutil.copytree(whole_study, study)
    content = json.loads((study / "study.json").read_text())
    (study / "study.json").write_text(json.dumps({**content, "config": "configs/demo/study.py"}))
    provenance = dict(commit="abc", packages={"torch": "2.0"}, python="3.11.7", machine="Linux")
    for name in content["runs"][:3]:
        (study / name / "provenance.json").write_text(json.dumps(provenance))
    report_study(study, samples=20)
    for name in ("report.md", "report.html"):
        text = (study / name).read_text()
        assert text.count("torch 2.0") == text.count("Python 3.11.7, Linux") == 1
        assert "python tools/study.py run configs/demo/study.py --work-dir DIR" in text
