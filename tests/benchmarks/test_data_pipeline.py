"""The benchmark of data pipelines: every step in its group, configs in turns, errors for wrong options."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip("mmpretrain")

from smix_mm.benchmarks.data_pipeline import GROUPS, benchmark_data_pipeline, format_table
from smix_mm.benchmarks.pipeline_cores import benchmark_cores, format_cores
from smix_mm.cli import run
from smix_mm.utils.errors import UsageError

ROOT = Path(__file__).parents[2]
OLD = ROOT / "configs/imagenet/resnet50-100e_saliencymix_in1k.py"
FAST = ROOT / "configs/_base_/datasets/imagenet_fast.py"
PACKED = ROOT / "configs/imagenet/fast/resnet50-100e_saliencymix_in1k.py"

pytestmark = pytest.mark.filterwarnings("ignore:Only use 'alpha'", "ignore:'pin_memory'")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 256, (30, 40, 3), np.uint8)
        (folder / str(number % 2)).mkdir(exist_ok=True)
        cv2.imwrite(str(folder / str(number % 2) / f"{number}.JPEG"), cv2.resize(noise, (500, 400)))
    return folder


def test_every_step_is_in_its_group_and_the_groups_add_up(photographs):
    threads = torch.get_num_threads()
    state = np.random.get_state()[1].tolist()
    old, fast = benchmark_data_pipeline([OLD, FAST], images=photographs, rounds=2, passes=1)
    assert [Path(row["config"]) for row in (old, fast)] == [OLD, FAST]
    for row in (old, fast):
        assert tuple(row["groups"]) == GROUPS and not row["packed"] and row["receive_ms"] > 0
        assert all(row["groups"][group] > 0 for group in ("read", "decode", "crop, resize", "pack", "other"))
        assert sum(row["groups"].values()) == pytest.approx(row["median_ms"], rel=1e-6)
        assert row["images_per_second"] == 1000 / row["median_ms"]
        first, third = row["quartiles_ms"]
        assert first <= row["median_ms"] <= third
    assert old["groups"]["colour"] > 0 and fast["groups"]["colour"] == 0
    assert old["to_first"] == 1 and fast["to_first"] > 1.2
    assert torch.get_num_threads() == threads and np.random.get_state()[1].tolist() == state


def test_packed_images_are_packed_first(photographs):
    pytest.importorskip("lmdb")
    (row,) = benchmark_data_pipeline([PACKED], images=photographs, rounds=2, passes=1, short_side=64)
    assert row["packed"] and row["groups"]["read"] > 0


def test_wrong_options_are_errors(photographs, tmp_path):
    for options, message in (
        (dict(rounds=1), "rounds and passes should be at least 2 and 1, got 1 and 2"),
        (dict(images=tmp_path), "should be a folder with photographs, got none"),
        (dict(configs=["nowhere.py"]), "config nowhere.py does not exist"),
    ):
        with pytest.raises(UsageError, match=message):
            benchmark_data_pipeline(**{"configs": [FAST], "images": photographs, **options})


def test_the_tool_prints_a_table_and_writes_json(photographs, capsys, tmp_path):
    out = tmp_path / "pipeline.json"
    options = ["--images", photographs, "--rounds", 2, "--passes", 1, "--out", out]
    assert run("benchmark_data_pipeline", [str(FAST), *map(str, options)]) == 0
    lines = capsys.readouterr().out.splitlines()[-3:]
    assert lines[0].startswith("| config | read | decode | crop, resize | colour | pack | other | all |")
    assert "imagenet_fast" in lines[2] and "processor" in json.loads(out.read_text())["machine"]


def test_the_table_has_a_row_for_each_config():
    row = dict(config="configs/a/b.py", packed=False, groups=dict.fromkeys(GROUPS, 0.125), median_ms=0.75,
               quartiles_ms=[0.7, 0.8], receive_ms=0.05, images_per_second=1333.3, to_first=1.0)  # fmt: skip
    assert format_table([row]).splitlines()[2] == (
        "| a/b | 0.12 | 0.12 | 0.12 | 0.12 | 0.12 | 0.12 | 0.75 | 0.70-0.80 | 1,333 | 1.00 | 0.05 |"
    )


def test_whole_loaders_run_on_as_many_cores_as_given(photographs, capsys, tmp_path):
    available = os.sched_getaffinity(0)
    out, figure = tmp_path / "cores.json", tmp_path / "cores.png"
    options = ["--images", photographs, "--cores", 1, "--seconds", 0.1, "--rounds", 2, "--out", out, "--figure", figure]
    assert run("benchmark_data_pipeline", [str(FAST), *map(str, options)]) == 0
    (row,) = json.loads(out.read_text())["rows"]
    assert list(row["by_cores"]) == ["1"] and len(row["by_cores"]["1"]) == 2 and min(row["by_cores"]["1"]) > 0
    assert "| config | 1 core |" in capsys.readouterr().out and cv2.imread(str(figure)) is not None
    assert os.sched_getaffinity(0) == available


@pytest.mark.parametrize(
    "options", [dict(cores=[]), dict(cores=[0]), dict(cores=[1, 10_000]), dict(cores=[1], seconds=0)]
)
def test_numbers_of_cores_that_the_machine_lacks_are_errors(photographs, options):
    with pytest.raises(UsageError, match="cores should be from 1 to"):
        benchmark_cores([FAST], images=photographs, **options)


def test_the_table_of_cores_has_the_median_and_the_range():
    rows = [dict(config="configs/a/b.py", by_cores={1: [90.0, 110.0, 100.0], 2: [1900.0, 2000.0, 2100.0]})]
    assert format_cores(rows).splitlines() == [
        "| config | 1 core | 2 cores |", "| --- | ---: | ---: |", "| a/b | 100 (90-110) | 2,000 (1,900-2,100) |"
    ]  # fmt: skip
