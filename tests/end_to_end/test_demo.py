"""`make demo`, from one command to the report."""

import json

import pytest

pytestmark = pytest.mark.long
METRIC = "voc/mAP_11point"


@pytest.mark.timeout(1300)
def test_the_demo_gives_its_report_and_its_page_and_is_not_done_twice(tmp_path, run_tool):
    command = ("tools/study.py", "run", "configs/demo/study.py", "--work-dir", tmp_path)
    run_tool(*command, timeout=1200)
    arms = ["baseline", "cutmix", "saliencymix"]
    assert len(list(tmp_path.rglob("result.json"))) == 6
    tuned = {arm: json.loads((tmp_path / arm / "seed0/digits/seed0/result.json").read_text()) for arm in arms}
    for result in tuned.values():
        assert result["load_proof"] == dict(backbone_hash=result["backbone_hash"], loaded="whole")
    assert len({result["backbone_hash"] for result in tuned.values()}) == 3
    assert 0.2 < tuned["baseline"]["metrics"][METRIC] < 0.95
    text = (tmp_path / "report.md").read_text()
    for result in tuned.values():
        assert f"{100 * result['metrics'][METRIC]:.1f}" in text
    assert (tmp_path / "mixed.png").read_bytes().startswith(b"\x89PNG")

    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pth")}
    again = run_tool(*command)
    assert again.stdout.count("finished before") == 6
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pth")} == before
    assert "every hash and every figure agrees" in run_tool("tools/study.py", "verify", "--work-dir", tmp_path).stdout
