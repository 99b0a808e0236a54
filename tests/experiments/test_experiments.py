"""The list of the paper's rows: it is complete, its figures are the paper's, and results belong to their rows."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest

from smix_mm.experiments import EXPERIMENTS, format_rows, list_experiments
from smix_mm.experiments.cost import training_images
from smix_mm.experiments.listing import BATCH_256, read_results
from smix_mm.experiments.paper import BARS, CIFAR_COLUMNS, CIFAR_ERRORS, NONE
from smix_mm.experiments.rows import CIFAR, FGSM, STUDIES
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
            assert experiment.config in command or "publish_backbone" in command or "prepare_data" in command


def test_the_options_of_a_row_are_in_its_command_and_make_its_config():
    rows = [experiment for experiment in EXPERIMENTS if experiment.options]
    seen = set()
    for experiment in rows:
        (command,) = experiment.commands
        _, _, typed = command.partition(" --cfg-options ")
        typed, _, work_dir = typed.partition(" --work-dir ")
        assert tuple(typed.split()) == experiment.options
        cfg = read_config(ROOT / experiment.config, dict(option.split("=") for option in typed.split()))
        assert cfg.filename == str(ROOT / experiment.trained)
        assert cfg.data_preprocessor != read_config(ROOT / experiment.config).data_preprocessor
        # Two rows never share a work dir.
        seen.add(work_dir or f"work_dirs/{Path(cfg.filename).stem}")
        assert not (ROOT / "configs" / Path(experiment.config).parent.name / f"{Path(work_dir).name}.py").is_file()
    assert len(seen) == len(rows) > 30


def test_every_config_of_the_paper_belongs_to_a_row_or_is_the_variant_of_one_that_does():
    rows = {experiment.config for experiment in EXPERIMENTS}
    configs = [path for folder in FOLDERS for path in (ROOT / "configs" / folder).glob("*.py")]
    assert len(configs) > 70
    for path in configs:
        usual = str(path.relative_to(ROOT)).replace("-100e", "")
        # These are for detectors, and no rows of the paper.
        others = ("imagenet-stem", "imagenet/resnet18", "imagenet/resnext50", "imagenet/swin-t", "imagenet/convnext-t")
        assert usual in rows or any(other in usual for other in others), path


def test_the_tables_have_as_many_rows_and_figures_as_in_the_paper():
    by_table: dict[str, list[str]] = {}
    for experiment in EXPERIMENTS:
        by_table.setdefault(experiment.table, []).append(experiment.paper)
    printed = {table: len([figure for figure in figures if figure != NONE]) for table, figures in by_table.items()}
    # CIFAR: 12 methods by 4 columns, 2 by 2 and 1; ImageNet: 10 and 5; saliency methods: 4 on two data sets; 5 schemes;
    # no rivals; detection, twice; FGSM; hours.
    assert list(printed.values()) == [51, 15, 8, 5, 0, 5, 5, 5, 5]
    figures = [experiment.paper for experiment in EXPERIMENTS]
    assert all(
        figure in (BARS, NONE) or re.fullmatch(r"[\d.]+([±/][\d.]+)?( \(CutMix paper [\d.]+\))?", figure)
        for figure in figures
    )
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


def training_steps(config: Path) -> int:
    return training_images(str(config), read_config(config))[0]


def one(*words: str, **options) -> dict:
    rows = list_experiments(words, root=ROOT, **options)
    assert len(rows) == 1, [row["row"] for row in rows]
    return rows[0]


def write(folder: Path, file: str, **content) -> None:
    folder.mkdir(parents=True)
    (folder / file).write_text(json.dumps(content))


def run_of(folder: Path, config: str, step: int, changes: str = "", **metrics: float) -> None:
    """A work dir of ``tools/train.py``: its config, and the log of a training iteration and of a test."""
    (folder / "20260101/vis_data").mkdir(parents=True)
    settings = "".join(f"{name} = {value!r}\n" for name, value in read_config(ROOT / config).to_dict().items())
    (folder / Path(config).name).write_text(settings + changes)
    lines = [dict(loss=1.0, time=0.36, step=10), dict(loss=1.0, time=0.36, step=20_000), dict(metrics, step=step)]
    (folder / "20260101/vis_data/scalars.json").write_text("".join(f"{json.dumps(line)}\n" for line in lines) + '{"cut')


def test_runs_of_a_row_are_averaged_by_protocol(tmp_path):
    config = "configs/cifar10/resnet18_cutmix_cifar10.py"
    for seed, accuracy in enumerate((96.0, 96.3, 96.6)):
        run_of(tmp_path / f"paper{seed}", config, 200, **{"accuracy/top1": accuracy})
    run_of(tmp_path / "a/b", config, 30, "train_cfg['max_epochs'] = 30\n", **{"accuracy/top1": 95})
    run_of(tmp_path / "c", "configs/cifar10/fast/resnet18_cutmix_cifar10.py", 200, **{"accuracy/top1": 97.0})
    row = one("cifar, top-1", "resnet-18 + cutmix, c10+", results=tmp_path)
    fast = "3.00 (1 run, Bfloat16OptimWrapper (optim wrapper))"
    assert row["ours"] == f"5.00 (1 run, 30 epochs); {fast}; 3.70±0.30 (3 runs)"
    assert row["paper"] == "3.78±0.12" and row["config"] == config
    assert one("resnet-18 + cutout, c10+", results=tmp_path)["ours"] == "not run"
    assert one("training time", "resnet-18 + cutmix", results=tmp_path)["ours"].endswith("2.00±0.00 (3 runs)")


def test_runs_with_options_belong_to_the_row_that_has_these_options(tmp_path):
    config, place = "configs/cifar10/resnet18_saliencymix_cifar10.py", "data_preprocessor['batch_augments']['augments']"
    run_of(tmp_path / "a", config, 200, f"{place}['target'] = 'salient'\n", **{"accuracy/top1": 96.0})
    run_of(tmp_path / "b", config, 200, f"{place}['alpha'] = 0.5\n", **{"accuracy/top1": 95.0})
    run_of(tmp_path / "c", config, 200, **{"accuracy/top1": 97.0})
    assert one("where to", "salient to salient", "augment.target=salient --work-dir", results=tmp_path)["ours"] == (
        "4.00 (1 run)"
    )
    assert one("where to", "salient to corresponding", results=tmp_path)["ours"] == "3.00 (1 run)"
    assert one("where to", "control", results=tmp_path)["ours"] == "not run"
    cfg = read_config(ROOT / "configs/cifar10/resnet18_baseline_cifar10.py", dict(augment="resizemix"))
    changes = f"data_preprocessor = {cfg.data_preprocessor.to_dict()!r}\n"
    run_of(tmp_path / "d", "configs/cifar10/resnet18_baseline_cifar10.py", 200, changes, **{"accuracy/top1": 94.0})
    (tmp_path / "d/resnet18_baseline_cifar10.py").rename(tmp_path / "d" / Path(cfg.filename).name)
    assert one("cifar-10, resnet-18 + resizemix", results=tmp_path)["ours"] == "6.00 (1 run)"
    assert one("cifar, top-1", "resnet-18, c10+", results=tmp_path)["ours"] == "not run"


def test_results_of_detectors_and_attacks_belong_to_their_pretraining(tmp_path):
    detector, start = "configs/voc/faster-rcnn_r50-c4_41k_voc0712.py", "configs/imagenet/resnet50_cutmix_in1k.py"
    changes = "model['backbone']['init_cfg']['checkpoint'] = 'elsewhere/cutmix.pth'\n"
    run_of(tmp_path / "d", detector, 41_000, changes, **{"voc/mAP_11point": 0.7812})
    figures = {"clean": {"accuracy/top1": 76.0}, "fgsm 8/255": {"accuracy/top1": 31.5}}
    write(tmp_path / "r", "robustness.json", config=start, attack="fgsm", figures=figures)
    assert one("detection, voc2007", "faster r-cnn resnet-50 + cutmix", results=tmp_path)["ours"] == "78.12 (1 run)"
    assert one("detection, voc2007", "faster r-cnn resnet-50 + mixup", results=tmp_path)["ours"] == "not run"
    assert one("fgsm", "resnet-50 + cutmix", "test_robustness", results=tmp_path)["ours"] == "31.50 (1 run)"


def test_fine_tunings_of_the_study_are_the_runs_of_its_rows(tmp_path):
    for name in (*STUDIES, "another study"):
        write(tmp_path / name[:9], "study.json", name=name)
        for seed, figure in enumerate((0.78, 0.79)):
            content = dict(arm="cutmix", detector="c4", metrics={"voc/mAP_11point": figure})
            write(tmp_path / name[:9] / f"cutmix/given/c4/seed{seed}", "result.json", **content)
    assert one("released", "resnet-50 c4 + cutmix", results=tmp_path)["ours"] == "78.50±0.71 (2 runs)"
    assert one("released", "resnet-50 fpn + cutmix", results=tmp_path)["ours"] == "not run"


def test_both_errors_of_imagenet_are_shown_and_an_unfinished_run_is_named_so(tmp_path):
    metrics = {"accuracy/top1": 78.6, "accuracy/top5": 94.1}
    run_of(tmp_path / "i", "configs/imagenet/resnet50_cutmix_in1k.py", 299, **metrics)
    run_of(tmp_path / "j", "configs/imagenet/resnet50-100e_cutmix_in1k.py", 100, **metrics)
    found = one("imagenet, top-1", "resnet-50 + cutmix", results=tmp_path)["ours"]
    assert (
        found == "21.40/5.90 (1 run, 299 epochs); 21.40/5.90 (1 run, 100 epochs, Bfloat16OptimWrapper (optim wrapper))"
    )


def test_what_a_training_and_its_robustness_test_write_is_found(made_up_cifar10, tmp_path, monkeypatch):
    """The real tools, with a narrow net and two iterations."""
    from smix_mm.cli import run

    monkeypatch.setenv("SMIX_CIFAR10", str(made_up_cifar10))
    config, work = "configs/cifar10/resnet18_cutmix_cifar10.py", tmp_path / "work"
    small = ["--cfg-options", "model.backbone.base_channels=4", "model.backbone.stem_channels=4",
             "model.head.in_channels=32", "train_cfg.max_epochs=1", "train_dataloader.batch_size=120",
             "default_hooks.logger.interval=1",
             *(f"{part}_dataloader.{name}" for part in ("train", "val", "test")
               for name in ("num_workers=0", "persistent_workers=False"))]  # fmt: skip
    assert run("train", [config, "--work-dir", str(work), *small]) == 0
    found = one("cifar, top-1", "resnet-18 + cutmix, c10+", results=tmp_path)["ours"]
    assert re.fullmatch(r"\d+\.\d\d \(1 run, 1 epochs, 120 images a process\)", found), found
    assert "(1 run" in one("training time", "resnet-18 + cutmix", results=tmp_path)["ours"]
    robust = [
        "--attack",
        "fgsm",
        "--eps",
        "8/255",
        "--out",
        str(tmp_path / "robust"),
        "--work-dir",
        str(tmp_path / "w"),
    ]
    assert run("test_robustness", [config, str(work / "epoch_1.pth"), *robust, *small]) == 0
    content = json.loads((tmp_path / "robust/robustness.json").read_text())
    (result,) = [each for each in read_results(tmp_path / "robust", ROOT)]
    assert result.config == result.start == config and content["figures"]["fgsm 8/255"]["accuracy/top1"] >= 0
    (attack,) = {experiment.metrics for experiment in EXPERIMENTS if experiment.table == FGSM}
    assert set(attack) <= set(result.metrics)


def test_the_figures_of_detection_rows_are_ones_that_the_metric_writes():
    import numpy as np

    from smix_mm.evaluation import Detections, evaluate

    boxes = np.array([[0.0, 0, 9, 9]])
    sample = dict(image="1", boxes=boxes, scores=np.array([0.9]), labels=np.array([0]), true_boxes=boxes,
                  true_labels=np.array([0]), difficult=np.array([False]))  # fmt: skip
    figures = evaluate(Detections.stack(["a"], [sample]))
    assert {name for each in EXPERIMENTS if each.kind == "share" for name in each.metrics} <= set(figures)


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
    assert one("detection, voc2007", "resnet-50 + cutmix", results=tmp_path)["gpu_hours"] == "not measured"
    assert one(CIFAR, "resnet-18 + cutout, c10+", results=tmp_path)["gpu_hours"] == "not measured"


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("study.json", "{", "study.json should be a JSON file: "),
        ("study.json", "[]", "study.json should contain a JSON object, got list."),
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
    assert [row["paper"] for row in rows] == [
        "18.80±0.08", "18.41±0.27", "16.66±0.20", "16.56±0.17", NONE, "17.10±0.30", "16.23"
    ]  # fmt: skip
    assert call("nothing", "like", "this") == 1
    assert "no row has nothing and like and this" in capsys.readouterr().err
    (tmp_path / "study.json").write_text("{")
    assert call("--results", tmp_path) == 2
    assert capsys.readouterr().err.startswith("list_experiments.py: ")
