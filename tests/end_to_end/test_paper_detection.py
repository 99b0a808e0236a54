"""The study of the released backbones: arms and figures; and from made-up downloads to the report."""

import json
from pathlib import Path

import pytest
import torch

from smix_mm.datasets.prepare.released import RELEASES
from smix_mm.experiments.paper import VOC_MAP
from smix_mm.experiments.rows import RELEASED_STUDY, STUDIES
from smix_mm.study.config import load_study
from smix_mm.study.run import plan_study

ROOT = Path(__file__).parents[2]


def test_the_study_has_the_papers_arms_protocol_first_seeds_and_figures():
    study = load_study(ROOT / RELEASED_STUDY)
    assert study.arms == {row: f"released://{row}" for row in RELEASES}
    assert list(study.detectors) == ["c4", "fpn"] and study.finetuning_seeds == (0, 1, 2)
    c4, fpn = (detector.read() for detector in study.detectors.values())
    assert (c4.train_cfg.max_iters, c4.train_dataloader.batch_size) == (41_000, 8)
    assert fpn.train_dataloader.batch_size == fpn.auto_scale_lr.base_batch_size
    assert len(plan_study(study)) == 5 * (1 + 2 * 3)
    assert {arm: f"{100 * figure:.2f}" for arm, figure in study.paper.items()} == {
        arm: VOC_MAP[arm] for arm in RELEASES
    }
    assert {study.name: RELEASED_STUDY} == STUDIES


def write_downloads(folder: Path, rows: tuple[str, ...]) -> None:
    """Random ResNet-50s in the format of the authors' script, under the one name that all downloads have."""
    from torchvision.models import resnet50

    for number, row in enumerate(rows):
        torch.manual_seed(number)
        model = resnet50()
        content = dict(
            epoch=299, arch="resnet", state_dict=torch.nn.DataParallel(model).state_dict(),
            best_err1=RELEASES[row].error, best_err5=6.0,
            optimizer=torch.optim.SGD(model.parameters(), 0.1).state_dict(),
        )  # fmt: skip
        path = folder / str(number) / "model_best.pth.tar"
        path.parent.mkdir(parents=True)
        torch.save(content, path, _use_new_zipfile_serialization=False)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_from_the_downloads_to_the_report_and_the_listed_rows(run_tool, smix_data, tmp_path):
    """Two of the arms and one seed; small images, few of them, few iterations."""
    missing = run_tool("tools/prepare_data.py", "released-backbones", "--root", tmp_path, check=False)
    assert missing.returncode == 1 and missing.stdout.count("model_best.pth.tar of") == 5
    write_downloads(tmp_path / "downloads", tuple(RELEASES))
    prepared = run_tool("tools/prepare_data.py", "released-backbones", "--root", tmp_path, "--check",
                        "--from", tmp_path / "downloads")  # fmt: skip
    assert "released-backbones is complete: " in prepared.stdout

    test = {f"{part}_dataloader.{name}": value for part in ("val", "test") for name, value in (
        ("num_workers", 0), ("persistent_workers", False), ("dataset.indices", 3),
        ("dataset.pipeline.1.scale", (160, 120)))}  # fmt: skip
    common = {"train_dataloader.batch_size": 2, "train_dataloader.num_workers": 0,
              "train_dataloader.persistent_workers": False, "default_hooks.logger.interval": 1, **test}  # fmt: skip
    options = {}
    for name, place in (("c4", "dataset"), ("fpn", "dataset.dataset")):
        parts = {f"train_dataloader.{place}.datasets.{part}.{key}": value for part in (0, 1) for key, value in
                 (("indices", 2), ("pipeline.2.scale", (160, 120)))}  # fmt: skip
        options[name] = {**common, **parts, "model.train_cfg.rpn_proposal.max_per_img": 40,
                         "model.train_cfg.rcnn.sampler.num": 16, "model.test_cfg.rpn.max_per_img": 10}  # fmt: skip
    options["c4"] |= {"train_cfg.max_iters": 2, "train_cfg.val_interval": 2, "model.rpn_head.feat_channels": 32}
    options["fpn"] |= {"train_dataloader.dataset.times": 1, "train_cfg.max_epochs": 1}
    study = tmp_path / "study.py"
    study.write_text(
        f'_base_ = "{ROOT / RELEASED_STUDY}"\nfinetuning_seeds = [0]\nplanned = [("baseline", "saliencymix")]\n'
        'arms = dict(_delete_=True, baseline=dict(checkpoint="released://baseline"), '
        'saliencymix=dict(checkpoint="released://saliencymix"))\n'
        f'detectors = dict(c4=dict(_delete_=True, config="{ROOT}/configs/voc/faster-rcnn_r50-c4_41k_voc0712.py", '
        f"cfg_options={options['c4']!r}), "
        f'fpn=dict(_delete_=True, config="{ROOT}/configs/voc/faster-rcnn_r50_fpn_1x_voc0712.py", '
        f"cfg_options={options['fpn']!r}))\n"
    )
    work = tmp_path / "work"
    environment = dict(SMIX_RELEASED=tmp_path / "released-backbones", SMIX_VOC=smix_data / "VOCdevkit")
    run_tool("tools/study.py", "run", study, "--work-dir", work, timeout=890, **environment)
    recorded = json.loads((tmp_path / "released-backbones/released.json").read_text())
    for arm in ("baseline", "saliencymix"):
        meta = torch.load(work / arm / "given/pretraining/backbone.pth", weights_only=True)["meta"]
        assert (meta["source_hash"], meta["channel_order"]) == (recorded[arm]["sha256"], "rgb")
        for detector in ("c4", "fpn"):
            result = json.loads((work / arm / f"given/{detector}/seed0/result.json").read_text())
            assert result["load_proof"]["loaded"] == "whole" and result["backbone_hash"] == meta["hash"]
    report = (work / "report.md").read_text()
    assert "78.48" in report and "76.71" in report and "75.6" in report
    run_tool("tools/study.py", "verify", "--work-dir", work)
    listed = run_tool("tools/list_experiments.py", "released", "--results", work).stdout
    assert listed.count("(1 run)") == 4
