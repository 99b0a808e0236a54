"""What needs a GPU is skipped without one, and counted."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")
SUITE = """
import pytest

@pytest.mark.gpu
@pytest.mark.parametrize("number", range(3))
def test_marked(number):
    assert False

def test_on_each(device):
    assert device == "cpu"

@pytest.mark.skip(reason="another reason")
def test_skipped():
    pass
"""


@pytest.mark.parametrize("processes", [0, 2])
def test_without_a_gpu_the_summary_says_how_many_tests_need_one(processes, run_tool, tmp_path):
    if processes and find_spec("xdist") is None:
        pytest.skip("no pytest-xdist")
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = gpu: needs a GPU\n")
    (tmp_path / "test_suite.py").write_text(SUITE)
    options = ["-n", processes] if processes else []
    command = (sys.executable, "-m", "pytest", "--strict-markers", "-p", "no:cacheprovider", *options)
    ended = run_tool(*command, cwd=tmp_path, CUDA_VISIBLE_DEVICES="")
    assert "1 passed, 5 skipped" in ended.stdout
    assert "\n4 tests need a GPU and were skipped\n" in ended.stdout
