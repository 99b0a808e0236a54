"""The list of the paper's rows: it is complete, its figures are the paper's, and results belong to their rows."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest

from smix_mm.experiments import EXPERIMENTS, format_rows, list_experiments
from smix_mm.experiments.listing import BATCH_256
from smix_mm.experiments.paper import BARS, CIFAR_COLUMNS, CIFAR_ERRORS, NONE
from smix_mm.experiments.records import training_steps
from smix_mm.experiments.rows import CIFAR
from smix_mm.utils.config import read_config
from smix_mm.utils.errors import DataError

ROOT = Path(__file__).parents[2]
FOLDERS = ("cifar10", "cifar100", "tiny_imagenet", "imagenet")


def test_the_config_and_tools_of_every_row_exist():
    for experiment in EXPERIMENTS:
        for config in filter(None, (experiment.config, experiment.pretraining)):
            assert (ROOT / config).is_file(), config
        assert bool(experiment.commands) == (experiment.config is not None)
        for command in experiment.commands:
            assert (ROOT / re.search(r"python (tools/\w+\.py) ", command)[1]).is_file()
            assert experiment.config in command or "publish_backbone" in command


def test_every_config_of_the_paper_belongs_to_a_row_or_is_the_variant_of_one_that_does():
    rows = {experiment.config for experiment in EXPERIMENTS}
    configs = [path for folder in FOLDERS for path in (ROOT / "configs" / folder).glob("*.py")]
    assert len(configs) > 90
    for path in configs:
        usual = str(path.relative_to(ROOT)).replace("-100e", "")
        # The ImageNet stem on CIFAR is for detectors, and no row of the paper.
        assert usual in rows or "imagenet-stem" in usual, path


def test_the_tables_have_as_many_rows_and_figures_as_in_the_paper():
    by_table: dict[str, list[str]] = {}
    for experiment in EXPERIMENTS:
        by_table.setdefault(experiment.table, []).append(experiment.paper)
    printed = {table: len([figure for figure in figures if figure != NONE]) for table, figures in by_table.items()}
    # CIFAR: 12 methods by 4 columns; ImageNet: 10 and 5; saliency methods: 4 on two data sets; 5 schemes.
    assert list(printed.values()) == [48, 15, 8, 5, 5, 5, 5]
    figures = [experiment.paper for experiment in EXPERIMENTS]
    assert all(figure in (BARS, NONE) or re.fullmatch(r"[\d.]+([±/][\d.]+)?", figure) for figure in figures)
    assert len({(experiment.table, experiment.row) for experiment in EXPERIMENTS}) == len(EXPERIMENTS)


@pytest.mark.parametrize("study, column", [("cifar10", "C10+"), ("cifar100", "C100+"), ("plain", "C10")])
def test_the_papers_figures_in_the_studies_are_those_of_the_table(study, column):
    names = {"saliency-shift": "saliencymix"}
    paper = read_config(ROOT / f"configs/studies/does_saliency_matter/{study}.py").paper
    assert len(paper) > 2
    for arm, accuracy in paper.items():
        figure = CIFAR_ERRORS["resnet18"][names.get(arm, arm)][CIFAR_COLUMNS.index(column)]
        assert float(figure.partition("±")[0]) == pytest.approx(100 - accuracy, abs=1e-9), arm


def test_without_results_every_row_is_not_run_and_not_measured(tmp_path):
    rows = list_experiments(results=tmp_path / "none", root=ROOT)
    assert len(rows) == len(EXPERIMENTS)
    assert {row["ours"] for row in rows} == {"not run"}
    assert {row["gpu_hours"] for row in rows} == {"not measured", "-"}


def one(*words: str, **options) -> dict:
    rows = list_experiments(words, root=ROOT, **options)
    assert len(rows) == 1, [row["row"] for row in rows]
    return rows[0]


def write(folder: Path, name: str, **content) -> None:
    folder.mkdir(parents=True)
    (folder / name).write_text(json.dumps(content))


def test_runs_of_a_row_are_averaged_by_protocol(tmp_path):
    config = "configs/cifar10/resnet18_cutmix_cifar10.py"
    for seed, accuracy in enumerate((96.0, 96.3, 96.6)):
        write(tmp_path / f"paper{seed}", "result.json", config=config, metrics={"accuracy/top1": accuracy})
    write(
        tmp_path / "a/b", "result.json", config=f"/there/{config}", protocol="30 epochs", metrics={"accuracy/top1": 95}
    )
    write(tmp_path / "study", "result.json", arm="cutmix", metrics={"accuracy/top1": 1.0})
    row = one("resnet-18 + cutmix, c10+", results=tmp_path)
    assert row["ours"] == "5.00 (1 run, 30 epochs); 3.70±0.30 (3 runs)"
    assert row["paper"] == "3.78±0.12" and row["config"] == config
    assert one("resnet-18 + cutout, c10+", results=tmp_path)["ours"] == "not run"


def test_a_detectors_result_belongs_to_its_pretraining_and_an_attacks_to_its_classifier(tmp_path):
    detector, start = "configs/voc/faster-rcnn_r50-c4_41k_voc0712.py", "configs/imagenet/resnet50_cutmix_in1k.py"
    write(tmp_path / "d", "result.json", config=detector, pretraining=start, metrics={"pascal_voc/mAP": 0.7812})
    figures = {"clean": {"accuracy/top1": 76.0}, "fgsm 8/255": {"accuracy/top1": 31.5}}
    write(tmp_path / "r", "robustness.json", config=start, attack="fgsm", figures=figures)
    assert one("faster r-cnn resnet-50 + cutmix", results=tmp_path)["ours"] == "78.12 (1 run)"
    assert one("faster r-cnn resnet-50 + mixup", results=tmp_path)["ours"] == "not run"
    assert one("fgsm", "resnet-50 + cutmix", "test_robustness", results=tmp_path)["ours"] == "31.50 (1 run)"


def test_both_errors_of_imagenet_are_shown(tmp_path):
    metrics = {"accuracy/top1": 78.6, "accuracy/top5": 94.1}
    write(tmp_path / "i", "result.json", config="configs/imagenet/resnet50_cutmix_in1k.py", metrics=metrics)
    assert one("imagenet, top-1", "resnet-50 + cutmix", results=tmp_path)["ours"] == "21.40/5.90 (1 run)"


def test_hours_come_from_a_measured_step_and_the_steps_of_the_config(tmp_path):
    for card, factor in (("a GPU", 1), ("b GPU", 2)):
        rows = [
            dict(config="configs/cifar10/resnet18_baseline_cifar10.py", arm="CutMix", amp=False, median_ms=36 * factor)
        ]
        larger = [dict(config="configs/imagenet/resnet50_baseline_in1k.py", arm="CutMix", amp=True, median_ms=100)]
        parts = {"cifar-step": dict(rows=rows), "imagenet-step": dict(rows=larger)}
        (tmp_path / "gpu").mkdir(exist_ok=True)
        record = dict(machine=dict(card=card), date="2026-11-28T00:00:00Z", parts=parts)
        (tmp_path / f"gpu/{card[0]}.json").write_text(json.dumps(record))
    assert training_steps(ROOT / "configs/cifar10/resnet18_cutmix_cifar10.py") == 200 * 391
    large = tmp_path / "cifar10/cutmix_b256.py"
    large.parent.mkdir()
    base = ROOT / "configs/cifar10/resnet18_cutmix_cifar10.py"
    large.write_text(f"_base_ = '{base}'\ntrain_dataloader = dict(batch_size=256)\n")
    assert training_steps(large) == 200 * 196
    with pytest.raises(DataError, match="its number of images is unknown"):
        training_steps(ROOT / "configs/demo/pretrain_baseline.py")
    assert training_steps(ROOT / "configs/imagenet/resnet50_cutmix_in1k.py") == 300 * 5005
    assert training_steps(ROOT / "configs/tiny_imagenet/resnet50_saliencymix_tiny-imagenet.py") == 100 * 391
    # 78,200 steps of 0.036 s.
    assert one(CIFAR, "resnet-18 + cutmix, c10+", results=tmp_path)["gpu_hours"] == "0.78 on a GPU; 1.6 on b GPU"
    # Without crop and flip a step is the same.
    assert one("resnet18-plain_cutmix_cifar10.py", results=tmp_path)["gpu_hours"] == "0.78 on a GPU; 1.6 on b GPU"
    hours = one("imagenet, top-1", "resnet-50 + cutmix", results=tmp_path)["gpu_hours"]
    assert hours == "42 on a GPU in mixed precision; 42 on b GPU in mixed precision"
    assert one("faster r-cnn resnet-50 + cutmix", results=tmp_path)["gpu_hours"] == "not measured"
    assert one(CIFAR, "resnet-18 + cutout, c10+", results=tmp_path)["gpu_hours"] == "not measured"


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("result.json", "{", "result.json should be a JSON file: "),
        ("result.json", "[]", "result.json should contain a JSON object, got list."),
        ("result.json", '{"config": "c"}', "result.json should contain metrics as numbers by name, got None."),
        (
            "robustness.json",
            '{"config": "c", "figures": {"fgsm 8/255": {}}}',
            "got {'fgsm 8/255': None}.",
        ),
        ("gpu/card.json", "{", "card.json should be a JSON file"),
        ("gpu/card.json", '{"machine": {}}', "card.json should be a record of `make gpu`"),
    ],
)
def test_a_broken_file_is_named(tmp_path, name, text, message):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        list_experiments(results=tmp_path, root=ROOT)


def test_the_text_has_figure_config_and_command_of_every_row():
    text = format_rows(list_experiments(results=ROOT / "no results", root=ROOT))
    for experiment in EXPERIMENTS:
        assert experiment.paper in text and experiment.row in text and experiment.table in text
        assert all(f"$ {command}\n" in text for command in experiment.commands)
    assert f"  {BATCH_256} --work-dir ANOTHER\n" in text


def test_the_command_prints_rows_and_fails_where_there_are_none(run_tool, tmp_path, monkeypatch, capsys):
    printed = run_tool("tools/list_experiments.py", "wideresnet-28-10 + cutmix, c100+", "--results", tmp_path).stdout
    assert "paper 16.66±0.20 | ours not run | GPU-hours not measured" in printed
    tool = str(ROOT / "tools/list_experiments.py")

    def call(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", [tool, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(tool, run_name="__main__")
        return ended.value.code

    assert call("wideresnet", "c100+", "--results", tmp_path, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["paper"] for row in rows] == ["18.80±0.08", "18.41±0.27", "16.66±0.20", "16.56±0.17", NONE]
    assert call("nothing", "like", "this") == 1
    assert "no row has nothing and like and this" in capsys.readouterr().err
    (tmp_path / "result.json").write_text("{")
    assert call("--results", tmp_path) == 2
    assert capsys.readouterr().err.startswith("list_experiments.py: ")
