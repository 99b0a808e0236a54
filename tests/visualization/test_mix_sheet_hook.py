"""The hook that adds a sheet of mixed images to the visualizer, in real trainings."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from PIL import Image

from smix_mm.utils.constants import IMAGENET_MEAN, IMAGENET_STD
from smix_mm.visualization.mix_sheet_hook import MixSheetHook

MIXES = {
    "SaliencyMix": dict(type="SaliencyMix", mean=list(IMAGENET_MEAN), std=list(IMAGENET_STD)),
    "OfficialSaliencyMix": dict(type="OfficialSaliencyMix"),
    "CutMix": dict(type="CutMix", alpha=1.0),
    "Mixup": dict(type="Mixup", alpha=1.0),
}


def train(crops, folder, mix: str, hooks: list, epochs: int = 3, backend: str = "LocalVisBackend") -> Runner:
    pipeline = [
        dict(type="LoadImageFromFile"),
        dict(type="RandomFlip", prob=0.5, direction="horizontal"),
        dict(type="PackInputs"),
    ]
    cfg = dict(
        default_scope="mmpretrain",
        experiment_name=folder.name,
        work_dir=str(folder),
        model=dict(
            type="ImageClassifier",
            backbone=dict(type="ResNet_CIFAR", depth=18, base_channels=8, stem_channels=8, out_indices=(3,)),
            neck=dict(type="GlobalAveragePooling"),
            head=dict(type="LinearClsHead", num_classes=10, in_channels=64),
        ),
        data_preprocessor=dict(
            num_classes=10,
            mean=list(IMAGENET_MEAN),
            std=list(IMAGENET_STD),
            to_rgb=True,
            batch_augments=dict(augments=MIXES[mix], probs=0.5),
        ),
        train_dataloader=dict(
            batch_size=16,
            num_workers=0,
            sampler=dict(type="DefaultSampler", shuffle=True),
            collate_fn=dict(type="default_collate"),
            dataset=dict(type="CustomDataset", data_root=str(crops), data_prefix="train", pipeline=pipeline),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.05)),
        default_hooks=dict(checkpoint=None, logger=dict(type="LoggerHook", interval=100)),
        custom_hooks=hooks,
        visualizer=dict(type="UniversalVisualizer", vis_backends=[dict(type=backend)]),
        randomness=dict(seed=0),
        log_level="ERROR",
    )
    runner = Runner.from_cfg(Config(cfg))
    runner.train()
    return runner


def sheets(folder) -> list[str]:
    return sorted(path.name for path in folder.glob("*/vis_data/vis_image/*"))


@pytest.mark.parametrize("mix", ["SaliencyMix", "OfficialSaliencyMix"])
def test_training_is_bit_identical_with_the_hook(crops, tmp_path, mix):
    ends = []
    for name, hooks in (("without", []), ("with", [dict(type="MixSheetHook", interval=2, number=2)])):
        runner = train(crops, tmp_path / name, mix, hooks)
        augment = runner.model.data_preprocessor.batch_augments.augments[0]
        generator = getattr(augment, "generator", None)
        drawn = None if generator is None else generator.get_state().tolist()
        states = torch.get_rng_state().tolist(), str(np.random.get_state()), drawn
        ends.append((states, {key: value.clone() for key, value in runner.model.state_dict().items()}))
    (states, weights), (states_with, weights_with) = ends
    assert states == states_with and (mix != "SaliencyMix" or states[2] is not None)
    assert all(torch.equal(weights[key], weights_with[key]) for key in weights)
    assert sheets(tmp_path / "without") == [] and sheets(tmp_path / "with") == ["mix_sheet_1.png", "mix_sheet_3.png"]


def test_the_sheet_shows_boxes_on_images_of_the_batch(crops, tmp_path):
    train(crops, tmp_path / "run", "CutMix", [dict(type="MixSheetHook", number=3, name="mixes")], epochs=1)
    (sheet,) = (tmp_path / "run").glob("*/vis_data/vis_image/mixes_1.png")
    with Image.open(sheet) as image:
        assert image.width > 700 and image.height > 600
        pixels = np.asarray(image.convert("RGB"))
    assert {(0x17, 0xBE, 0xCF), (0xFF, 0x7F, 0x0E)} <= {tuple(colour) for colour in pixels.reshape(-1, 3).tolist()}


def test_the_sheet_is_written_to_tensorboard(crops, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="no tensorboard")
    train(crops, tmp_path / "run", "SaliencyMix", [dict(type="MixSheetHook")], 1, "TensorboardVisBackend")
    (folder,) = (tmp_path / "run").glob("*/vis_data")
    found = events.EventAccumulator(str(folder)).Reload()
    assert found.Tags()["images"] == ["mix_sheet"]


def test_a_run_without_mixing_that_can_be_shown_raises_before_training(crops, tmp_path):
    with pytest.raises(
        ValueError, match="found no mixing to show: .* should contain SaliencyMix, OfficialSaliencyMix or CutMix"
    ):
        train(crops, tmp_path / "run", "Mixup", [dict(type="MixSheetHook")])


@pytest.mark.parametrize("settings", [dict(interval=0), dict(number=0)])
def test_settings_below_one_raise(settings):
    with pytest.raises(ValueError, match="should be at least 1, got"):
        HOOKS.build(dict(type="MixSheetHook", **settings))
    assert isinstance(HOOKS.build(dict(type="MixSheetHook")), MixSheetHook)
