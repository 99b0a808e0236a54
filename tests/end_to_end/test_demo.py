"""`make demo`: one command from the data to the report."""

import json
import statistics

import pytest

pytestmark = pytest.mark.long
METRIC = "voc/mAP_11point"
ARMS = ["baseline", "cutmix", "saliencymix"]


@pytest.mark.timeout(1300)
def test_the_demo_writes_its_report_and_page_and_repeats_nothing(tmp_path, run_tool):
    command = ("tools/study.py", "run", "configs/demo/study.py", "--work-dir", tmp_path)
    first = run_tool(*command, timeout=1200)
    assert len(list(tmp_path.rglob("result.json"))) == 12
    tuned = {
        arm: [json.loads((tmp_path / arm / f"seed0/digits/seed{seed}/result.json").read_text()) for seed in range(3)]
        for arm in ARMS
    }
    for results in tuned.values():
        for result in results:
            assert result["load_proof"] == dict(backbone_hash=result["backbone_hash"], loaded="whole")
    assert [len({result["backbone_hash"] for result in results}) for results in tuned.values()] == [1, 1, 1]
    assert len({results[0]["backbone_hash"] for results in tuned.values()}) == 3
    text = (tmp_path / "report.md").read_text()
    for results in tuned.values():
        figures = [100 * result["metrics"][METRIC] for result in results]
        assert min(figures) > 60 and max(figures) < 99
        # The standard deviation over seeds should be at most 3 points.
        assert statistics.stdev(figures) <= 3
        assert f"| {statistics.mean(figures):.2f} | {statistics.stdev(figures):.2f} | 3 fine-tuning seeds |" in text
    assert (tmp_path / "mixed.png").read_bytes().startswith(b"\x89PNG")

    lines = first.stdout.splitlines()
    place = {
        part: next(n for n, line in enumerate(lines) if part in line)
        for part in ("time left: ", "mixed.png", "done in")
    }
    assert list(place.values()) == sorted(place.values())
    shown, page, following = lines[-3:]
    assert shown.startswith("A difference is shown in ") and following.startswith("Next, ")
    assert f"{tmp_path}/report.html" in page
    assert (tmp_path / "report.html").read_text().count("data:image/png") == 5

    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pth")}
    again = run_tool(*command)
    assert again.stdout.count("finished before") == 12
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pth")} == before
    assert "every hash and every figure agrees" in run_tool("tools/study.py", "verify", "--work-dir", tmp_path).stdout
