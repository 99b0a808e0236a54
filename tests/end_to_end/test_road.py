"""Pretraining, publishing, fine-tuning and evaluation on real images, by the commands that a user types."""

import importlib.util
import json
import math
import re
from pathlib import Path

import pytest
import torch

PRETRAINING = "configs/cifar10/resnet18-imagenet-stem_saliencymix_cifar10.py"
FEW = ["train_dataloader.batch_size=40", "train_cfg.max_epochs=1", "default_hooks.logger.interval=1"]
# The detectors normalise as for ImageNet by default, but the backbone is trained with CIFAR's mean and std.
CIFAR_PIXELS = ["model.data_preprocessor.mean=[125.3,123.0,113.9]", "model.data_preprocessor.std=[63.0,62.1,66.7]"]
SMALL = [
    "model.rpn_head.feat_channels=32",
    "model.roi_head.bbox_head.fc_out_channels=32",
    "model.train_cfg.rpn_proposal.max_per_img=50",
    "model.test_cfg.rpn.max_per_img=50",
    "default_hooks.logger.interval=1",
    "train_cfg.max_epochs=1",
]


@pytest.fixture(scope="module")
def pretrained(few_cifar10, run_tool, losses, tmp_path_factory):
    """A ResNet-18 trained for a few iterations with SaliencyMix by tools/train.py."""
    folder = tmp_path_factory.mktemp("pretrained")
    run = run_tool("tools/train.py", PRETRAINING, "--work-dir", folder, "--cfg-options", *FEW, SMIX_CIFAR10=few_cifar10)
    found = losses(run.stdout)
    assert len(found) == 6 and all(map(math.isfinite, found))
    assert "accuracy/top1" in run.stdout
    return folder / "epoch_1.pth"


@pytest.fixture(scope="module")
def backbone(pretrained, run_tool):
    out = pretrained.parent / "backbone.pth"
    assert "imagenet" in run_tool("tools/publish_backbone.py", pretrained, out).stdout
    return out


def test_the_published_backbone_equals_the_trained_one(pretrained, backbone):
    published = torch.load(backbone, weights_only=True)
    trained = torch.load(pretrained, weights_only=False)["state_dict"]
    assert {f"backbone.{name}" for name in published["state_dict"]} == {n for n in trained if n.startswith("backbone.")}
    assert all(torch.equal(value, trained[f"backbone.{name}"]) for name, value in published["state_dict"].items())
    meta = published["meta"]
    assert (meta["mean"], meta["channel_order"], meta["style"]) == ([125.3, 123.0, 113.9], "rgb", "pytorch")


def test_tools_test_writes_the_accuracy_as_json(pretrained, few_cifar10, run_tool, tmp_path):
    run_tool(
        "tools/test.py", PRETRAINING, pretrained, "--work-dir", tmp_path, "--metrics", tmp_path / "metrics.json",
        "--out", tmp_path / "predictions.pkl", SMIX_CIFAR10=few_cifar10,
    )  # fmt: skip
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert 0 <= metrics["accuracy/top1"] <= metrics["accuracy/top5"] <= 100
    assert (tmp_path / "predictions.pkl").stat().st_size > 1000


def test_mmpretrains_own_train_script_runs_the_config(few_cifar10, run_tool, losses, tmp_path):
    package = Path(importlib.util.find_spec("mmpretrain").origin).parent
    run = run_tool(
        package / ".mim/tools/train.py", PRETRAINING, "--work-dir", tmp_path, "--no-validate", "--cfg-options", *FEW,
        SMIX_CIFAR10=few_cifar10,
    )  # fmt: skip
    found = losses(run.stdout)
    assert len(found) == 6 and all(map(math.isfinite, found))


def test_the_voc_config_is_fine_tuned_and_evaluated(backbone, smix_data, run_tool, losses, tmp_path):
    """With all 20 classes and the config's own image scale; only the number of images is small."""
    config = tmp_path / "few.py"
    root = f"{smix_data}/VOCdevkit/"
    config.write_text(f"""
_base_ = "{Path("configs/voc/faster-rcnn_r18_fpn_1x_voc0712.py").absolute()}"
train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(times=1))
test_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(data_root="{root}", indices=6))
""")
    parts = [f"train_dataloader.dataset.dataset.datasets.{i}" for i in (0, 1)]
    options = [f"{part}.data_root={root}" for part in parts] + [f"{part}.indices=3" for part in parts]
    run = run_tool(
        "tools/train.py", config, "--work-dir", tmp_path, "--no-validate", "--cfg-options", *options, *SMALL,
        *CIFAR_PIXELS, SMIX_BACKBONE=backbone,
    )  # fmt: skip
    assert "Load proof: every backbone tensor equals" in run.stdout
    found = losses(run.stdout)
    assert len(found) >= 3 and all(map(math.isfinite, found))
    proof = json.loads((tmp_path / "load_proof.json").read_text())
    assert proof == dict(backbone_hash=torch.load(backbone, weights_only=True)["meta"]["hash"], loaded="whole")
    run_tool(
        "tools/test.py", config, tmp_path / "epoch_1.pth", "--work-dir", tmp_path, "--metrics",
        tmp_path / "metrics.json", "--cfg-options", *SMALL, *CIFAR_PIXELS, SMIX_BACKBONE=backbone,
    )  # fmt: skip
    assert 0 <= json.loads((tmp_path / "metrics.json").read_text())["voc/mAP_11point"] <= 1


@pytest.fixture
def bccd_with_bad_boxes(smix_data, tmp_path):
    """BCCD with four training images: the two that have a box without area, and two others."""
    root = tmp_path / "BCCD"
    (root / "ImageSets/Main").mkdir(parents=True)
    for name in ("Annotations", "JPEGImages"):
        (root / name).symlink_to(smix_data / "BCCD" / name)
    from xml.etree.ElementTree import parse

    bad, good = [], []
    for name in (smix_data / "BCCD/ImageSets/Main/trainval.txt").read_text().split():
        boxes = parse(root / f"Annotations/{name}.xml").findall("object/bndbox")
        corners = [[int(box.find(side).text) for side in ("xmin", "ymin", "xmax", "ymax")] for box in boxes]
        (bad if any(x1 >= x2 or y1 >= y2 for x1, y1, x2, y2 in corners) else good).append(name)
    for test in (smix_data / "BCCD/ImageSets/Main/test.txt").read_text().split():
        boxes = parse(root / f"Annotations/{test}.xml").findall("object/bndbox")
        if any(box.find("xmin").text == box.find("xmax").text for box in boxes):
            bad.append(test)
    (root / "ImageSets/Main/trainval.txt").write_text("\n".join(bad + good[:2]) + "\n")
    (root / "ImageSets/Main/test.txt").write_text("\n".join(good[2:6]) + "\n")
    return root, bad


def test_bccd_trains_and_its_boxes_without_area_are_reported(backbone, bccd_with_bad_boxes, run_tool, losses, tmp_path):
    root, bad = bccd_with_bad_boxes
    config = "configs/bccd/faster-rcnn_r18_fpn_bccd.py"
    common = [*SMALL, *CIFAR_PIXELS, "train_dataloader.batch_size=1"]
    environment = dict(SMIX_BCCD=root, SMIX_BACKBONE=backbone)
    run = run_tool(
        "tools/train.py", config, "--work-dir", tmp_path, "--no-validate", "--cfg-options", *common, **environment
    )
    assert "Load proof: every backbone tensor equals" in run.stdout
    assert "× box-without-area (" in run.stdout
    assert bad and all(name in run.stdout for name in bad)
    found = losses(run.stdout)
    assert len(found) == len(bad) + 2 and all(map(math.isfinite, found))
    run_tool(
        "tools/test.py", config, tmp_path / "epoch_1.pth", "--work-dir", tmp_path, "--metrics",
        tmp_path / "metrics.json", "--cfg-options", *common, **environment,
    )  # fmt: skip
    assert 0 <= json.loads((tmp_path / "metrics.json").read_text())["voc/mAP_11point"] <= 1


def test_a_backbone_that_is_not_loaded_stops_the_run(backbone, bccd_with_bad_boxes, run_tool, tmp_path):
    """Also with --resume, if there is no checkpoint to resume from."""
    content = torch.load(backbone, weights_only=True)
    content["state_dict"] = {f"backbone.{name}": value for name, value in content["state_dict"].items()}
    torch.save(content, tmp_path / "prefixed.pth")
    run = run_tool(
        "tools/train.py", "configs/bccd/faster-rcnn_r18_fpn_bccd.py", "--work-dir", tmp_path / "run", "--resume",
        "--cfg-options", *SMALL, *CIFAR_PIXELS, check=False, SMIX_BCCD=bccd_with_bad_boxes[0],
        SMIX_BACKBONE=tmp_path / "prefixed.pth",
    )  # fmt: skip
    assert run.returncode != 0 and "does not start from" in run.stdout
    assert "in the model, not in the checkpoint" in run.stdout and "Epoch(train)" not in run.stdout


def test_a_backbone_with_a_cifar_stem_stops_the_detector(few_cifar10, bccd_with_bad_boxes, run_tool, tmp_path):
    from mmpretrain.models import build_backbone

    torch.manual_seed(0)
    small = build_backbone(dict(type="mmpretrain.ResNet_CIFAR", depth=18))
    torch.save({f"backbone.{name}": value for name, value in small.state_dict().items()}, tmp_path / "cifar.pth")
    run_tool("tools/publish_backbone.py", tmp_path / "cifar.pth", tmp_path / "backbone.pth")
    run = run_tool(
        "tools/train.py", "configs/bccd/faster-rcnn_r18_fpn_bccd.py", "--work-dir", tmp_path / "run", "--cfg-options",
        *SMALL, check=False, SMIX_BCCD=bccd_with_bad_boxes[0], SMIX_BACKBONE=tmp_path / "backbone.pth",
    )  # fmt: skip
    assert (
        run.returncode != 0 and "stem is imagenet in the model, but the backbone was trained with cifar" in run.stdout
    )


@pytest.mark.parametrize("spelling", ["--local-rank=0", "--local_rank=0"])
def test_both_spellings_of_the_local_rank_are_accepted(run_tool, spelling):
    run = run_tool("tools/train.py", "configs/none.py", spelling, check=False)
    assert run.returncode == 2 and run.stdout.strip().endswith("give a config file, such as one in configs/")


def test_two_processes_on_a_cpu_train_and_test_together(pretrained, few_cifar10, run_tool, losses, tmp_path):
    """Each rank reads half of the images and draws different mixes."""
    run = run_tool(
        "tools/dist_train.sh", PRETRAINING, 2, "--work-dir", tmp_path, "--auto-scale-lr", "--cfg-options",
        "train_dataloader.batch_size=30", *FEW[1:], SMIX_CIFAR10=few_cifar10, PORT=29517,
    )  # fmt: skip
    found = losses(run.stdout)
    assert len(found) == 4 and all(map(math.isfinite, found))
    assert "accuracy/top1" in run.stdout
    assert "lr: 4.6875e-02" in run.stdout  # 0.1 scaled from 128 to 60 images per iteration
    run = run_tool(
        "tools/dist_test.sh", PRETRAINING, tmp_path / "epoch_1.pth", 2, "--work-dir", tmp_path, "--metrics",
        tmp_path / "metrics.json", SMIX_CIFAR10=few_cifar10, PORT=29518,
    )  # fmt: skip
    assert "accuracy/top1" in json.loads((tmp_path / "metrics.json").read_text())


def test_a_run_resumes_from_its_last_checkpoint(few_cifar10, run_tool, tmp_path):
    options = ["--cfg-options", *FEW, "val_dataloader.dataset.indices=4"]
    run_tool("tools/train.py", PRETRAINING, "--work-dir", tmp_path, *options, SMIX_CIFAR10=few_cifar10)
    run = run_tool(
        "tools/train.py", PRETRAINING, "--work-dir", tmp_path, "--resume", "--cfg-options", *FEW[:1],
        "train_cfg.max_epochs=2", "default_hooks.logger.interval=1", SMIX_CIFAR10=few_cifar10,
    )  # fmt: skip
    assert re.search(r"Epoch\(train\) +\[2\]\[6/6\]", run.stdout)
    assert "[1][1/6]" not in run.stdout and (tmp_path / "epoch_2.pth").is_file()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["configs/none.py"], "config configs/none.py does not exist"),
        ([PRETRAINING, "--resume", "none.pth"], "checkpoint none.pth does not exist"),
        ([PRETRAINING, "--amp"], "--amp needs a GPU"),
        (["{no_base}", "--auto-scale-lr"], "--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...)"),
    ],
)
def test_wrong_arguments_end_with_one_sentence(run_tool, tmp_path, arguments, message):
    config = tmp_path / "config.py"
    config.write_text("model = dict()\n")
    arguments = [argument.format(no_base=config) for argument in arguments]
    run = run_tool("tools/train.py", *arguments, "--work-dir", tmp_path, check=False, CUDA_VISIBLE_DEVICES="")
    assert run.returncode == 2
    last = run.stdout.strip().splitlines()[-1]
    assert last.startswith("train.py: ") and message in last


@pytest.mark.parametrize("script", ["dist_train.sh", "dist_test.sh", "slurm_train.sh", "slurm_test.sh"])
def test_a_script_with_too_few_arguments_prints_its_usage(run_tool, script):
    run = run_tool(f"tools/{script}", "one", check=False)
    assert run.returncode == 2 and "usage: " in run.stdout


@pytest.mark.parametrize(
    "script, arguments, expected",
    [
        ("slurm_train.sh", ["gpu", "job", "c.py", "w", "--amp"], "train.py c.py --work-dir w --launcher slurm --amp"),
        ("slurm_test.sh", ["gpu", "job", "c.py", "e.pth", "--out", "o"], "test.py c.py e.pth --launcher slurm --out o"),
    ],
)
def test_the_slurm_scripts_pass_resources_and_command_to_srun(run_tool, tmp_path, script, arguments, expected):
    import os

    (tmp_path / "srun").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "srun").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    run = run_tool(f"tools/{script}", *arguments, PATH=path, GPUS=4, SRUN_ARGS="--mem 8G")
    assert "-p gpu --job-name=job --gres=gpu:4 --ntasks=4 --ntasks-per-node=4" in run.stdout
    assert "--mem 8G" in run.stdout and expected in run.stdout.replace(f"{Path('tools').absolute()}/", "")
