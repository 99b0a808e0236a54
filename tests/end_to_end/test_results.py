"""The reports under results/ are reproduced from the result files beside them."""

import base64
import json
import re
import statistics
from pathlib import Path

import pytest

from smix_mm.study.report import report_study

IMAGE = re.compile(r"data:image/png;base64,([^\"]*)")
ROOT = Path(__file__).parents[2]
STUDIES = sorted(path.parent for path in (ROOT / "results").rglob("study.json"))


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.name)
def test_a_published_report_is_reproduced_from_its_result_files(study, tmp_path):
    report_study(study, tmp_path)
    for name in ("report.md", "report.csv"):
        assert (tmp_path / name).read_bytes() == (study / name).read_bytes()
    # The pixels of figures may differ between processors, so pages are compared without them.
    pages = [IMAGE.sub("", (folder / "report.html").read_text()) for folder in (tmp_path, study)]
    assert pages[0] == pages[1]


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.name)
def test_a_published_page_contains_the_figures_beside_it(study):
    figures = re.findall(r"!\[.*\]\((.*)\)", (study / "report.md").read_text())
    images = IMAGE.findall((study / "report.html").read_text())
    assert [base64.b64decode(image) for image in images] == [(study / name).read_bytes() for name in figures]


def test_the_guide_quotes_the_first_study():
    report = json.loads((ROOT / "results/first_study/report.json").read_text())
    guide = (ROOT / "docs/guide.md").read_text().partition("## Results so far")[2].partition("\n## ")[0]
    for arm in report["arms"]:
        assert f"{arm['mean']:.2f} ± {arm['deviation']:.2f}" in guide


@pytest.mark.parametrize("arm", ["baseline", "cutmix", "official", "saliencymix"])
def test_the_table_of_accuracies_under_attack_equals_its_files(arm):
    study = ROOT / "results/first_study"
    files = [study / "robustness" / arm / f"seed{seed}/robustness.json" for seed in range(3)]
    figures = [json.loads(path.read_text())["figures"] for path in files]
    cells = []
    for attack in ("clean", "fgsm 1/255", "fgsm 2/255", "fgsm 8/255"):
        found = [figure[attack]["accuracy/top1"] for figure in figures]
        cells.append(f"{statistics.mean(found):.2f} ± {statistics.stdev(found):.2f}")
    assert f"| {' | '.join(cells)} |" in (study / "README.md").read_text()
    assert cells[-1] in (ROOT / "docs/guide.md").read_text()
