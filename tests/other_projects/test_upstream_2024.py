"""The package with OpenMMLab's own releases of 2023 and 2024, in a separate environment."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_mixing_saliency_and_classification_parts_work_with_the_releases_of_2024(smix_data, tmp_path):
    script = ROOT / "tests/other_projects/upstream_2024.sh"
    command = ["bash", script, tmp_path / "environment", "--offline"]
    run = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if run.returncode and "passed" not in run.stdout and re.search(r"--offline|network|No interpreter", run.stderr):
        pytest.skip(f"the releases are not in uv's cache, or there is no Python 3.11: bash {script} fetches them")
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    counts = [int(passed) for passed in re.findall(r"(\d+) passed", run.stdout)]
    assert len(counts) == 1 and counts[0] > 300
