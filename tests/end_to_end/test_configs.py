"""Every config under configs/: it builds, and one training step on made-up data of its shape gives a finite loss."""

import itertools
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

ROOT = Path(__file__).parents[2]
STUDIES = {"configs/demo/study.py", "configs/studies/first_run/study.py"}
CONFIGS = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "configs").rglob("*.py")
    if "_base_" not in path.parts and path.name != "schedule.py"
)
TRAINED = [config for config in CONFIGS if config not in STUDIES]
ARMS = [
    "configs/cifar10/resnet18_{}.py",
    "configs/cifar10/resnet18-imagenet-stem_{}.py",
    "configs/demo/pretrain_{}.py",
    "configs/studies/first_run/pretrain_{}.py",
]


def differences(one, two, place: str = "") -> set[str]:
    """Dotted names under which two nested settings differ."""
    if isinstance(one, dict) and isinstance(two, dict):
        names = set(one) | set(two)
        return set().union(*(differences(one.get(n), two.get(n), f"{place}.{n}".lstrip(".")) for n in names), set())
    return set() if one == two else {place}


@pytest.mark.parametrize(
    "family, arm", [*itertools.product(ARMS[:3], ["cutmix", "saliencymix"]), (ARMS[3], "saliencymix")]
)
def test_arms_differ_in_their_augmentation_alone(family, arm):
    baseline = Config.fromfile(ROOT / family.format("baseline")).to_dict()
    found = differences(baseline, Config.fromfile(ROOT / family.format(arm)).to_dict())
    assert found == {"data_preprocessor.batch_augments"}


@pytest.mark.parametrize("config", [config for config in TRAINED if "saliencymix" in config])
def test_saliencymix_undoes_the_very_normalisation_of_its_config(config):
    preprocessor = Config.fromfile(ROOT / config).data_preprocessor
    augment = preprocessor.batch_augments.augments
    assert (augment.mean, augment.std) == (preprocessor.mean, preprocessor.std)
    assert preprocessor.to_rgb, "pictures come from files, so channel_order='rgb' holds only with to_rgb"


def test_cifar10_is_trained_by_the_papers_protocol():
    cfg = Config.fromfile(ROOT / "configs/cifar10/resnet18_saliencymix.py")
    assert cfg.optim_wrapper.optimizer == dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    assert (cfg.param_scheduler.milestones, cfg.param_scheduler.gamma) == ([60, 120, 160], 0.2)
    assert (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size) == (200, 128)
    assert cfg.data_preprocessor.mean == [125.3, 123.0, 113.9] and cfg.data_preprocessor.std == [63.0, 62.1, 66.7]
    assert cfg.data_preprocessor.batch_augments.probs == 0.5
    assert cfg.model.backbone.type == "ResNet_CIFAR"
    crop = cfg.train_dataloader.dataset.pipeline[1]
    assert crop == dict(type="RandomCrop", crop_size=32, padding=4)


def batch_of(cfg) -> dict:
    """Two made-up samples as the config's loader would hand them over."""
    generator = torch.Generator().manual_seed(0)
    if cfg.default_scope == "mmpretrain":
        from mmpretrain.structures import DataSample

        samples = [DataSample().set_gt_label(number) for number in range(2)]
        return dict(inputs=torch.randint(0, 256, (2, 3, 32, 32), generator=generator).byte(), data_samples=samples)
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    sample = DetDataSample(metainfo=dict(img_shape=(120, 160), ori_shape=(120, 160), scale_factor=(1.0, 1.0)))
    sample.gt_instances = InstanceData(bboxes=torch.tensor([[20.0, 30, 90, 100]]), labels=torch.tensor([1]))
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    inputs = [torch.randint(0, 256, (3, 120, 160), generator=generator).byte() for _ in range(2)]
    return dict(inputs=inputs, data_samples=[sample, sample.clone()])


@pytest.mark.long
@pytest.mark.parametrize("config", TRAINED)
def test_a_training_step_gives_a_finite_loss(config):
    import smix_mm  # noqa: F401  (registers)

    cfg = Config.fromfile(ROOT / config)
    init_default_scope(cfg.default_scope)
    if cfg.default_scope == "mmdet":
        from mmdet.registry import DATASETS, MODELS, TRANSFORMS

        cfg.model.backbone.init_cfg = None
    else:
        from mmpretrain.registry import DATASETS, MODELS, TRANSFORMS

        # The coin must not decide whether the augmentation is tried.
        if cfg.data_preprocessor.get("batch_augments"):
            cfg.data_preprocessor.batch_augments.probs = 1.0
        cfg.model.data_preprocessor = cfg.data_preprocessor
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        dataset = loader.dataset
        while "dataset" in dataset:
            dataset = dataset.dataset
        for part in dataset.get("datasets", [dataset]):
            assert DATASETS.get(part.type) is not None
            assert all(TRANSFORMS.build(transform) for transform in part.pipeline)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).train()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    data = model.data_preprocessor(batch_of(cfg), training=True)
    loss, _ = model.parse_losses(model(**data, mode="loss"))
    assert torch.isfinite(loss)
    wrapper.update_params(loss)
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


@pytest.mark.parametrize("study", sorted(STUDIES))
def test_a_study_is_whole(study):
    from smix_mm.transfer.study import load_study

    loaded = load_study(ROOT / study)
    assert next(iter(loaded.arms)) == "baseline" and loaded.detectors
