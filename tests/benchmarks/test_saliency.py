"""The benchmark measures every case, or marks it as not measured."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from smix_mm.benchmarks.saliency import CASES, benchmark, format_table

pytest.importorskip("cv2")

TOOL = Path(__file__).parents[2] / "tools" / "benchmark_saliency.py"


@pytest.fixture(scope="module")
def result():
    return benchmark(sizes=[(32, 32)], batches=[2], seconds=0)


def test_every_case_has_a_row_and_opencv_is_the_unit(result):
    rows = result["rows"]
    assert [(row["detector"], row["backend"], row["device"]) for row in rows] == [
        (case.detector, case.backend, case.device) for case in CASES
    ]
    for row in rows:
        measured = row["device"] == "cpu" or torch.cuda.is_available()
        assert (row["map_ms"] is not None) == (row["peak_ms"] is not None) == measured
        if row["backend"] == "opencv":
            assert row["times_opencv"] == 1
        elif not measured or row["detector"] == "frequency_tuned":
            assert row["times_opencv"] is None
        else:
            assert row["times_opencv"] > 0


def test_the_table_marks_what_was_not_measured(result):
    lines = format_table(result["rows"]).splitlines()
    assert lines[0].endswith("| x OpenCV |")
    assert len(lines) == len(CASES) + 2
    missing = [row for row in result["rows"] if row["map_ms"] is None]
    assert sum("not measured" in line for line in lines) == len(missing)


def test_the_number_of_threads_is_restored():
    before = torch.get_num_threads()
    machine = benchmark(sizes=[(8, 8)], batches=[1], seconds=0, threads=before + 1)["machine"]
    assert machine["threads"] == before + 1
    assert torch.get_num_threads() == before


def test_the_tool_writes_json_and_a_figure(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    out, figure = tmp_path / "saliency.json", tmp_path / "saliency.png"
    arguments = ["--sizes", "16", "12x20", "--batches", "2", "--seconds", "0"]
    monkeypatch.setattr(sys, "argv", [str(TOOL), *arguments, "--out", str(out), "--figure", str(figure)])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(TOOL), run_name="__main__")
    assert exit_.value.code == 0
    rows = json.loads(out.read_text())["rows"]
    assert {(row["height"], row["width"]) for row in rows} == {(16, 16), (12, 20)}
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert "| 12x20 | 2 |" in capsys.readouterr().out


def test_triton_has_its_line_and_only_a_gpu_has_a_floor(result):
    rows = result["rows"]
    assert ("triton", "cuda") in [(row["backend"], row["device"]) for row in rows]
    for row in rows:
        assert (row["times_floor"] is None) == (row["floor_ms"] is None or row["map_ms"] is None)
        if row["device"] == "cpu":
            assert row["floor_ms"] is None
