"""Every config under configs/: its parts build, and it trains and tests on made-up data of its shape."""

import functools
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, default_collate
from mmengine.evaluator import Evaluator
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS, OPTIM_WRAPPERS, PARAM_SCHEDULERS, init_default_scope

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "configs").rglob("*.py")
    if "_base_" not in path.parts and path.name != "schedule.py"
)
STUDIES = [config for config in CONFIGS if "\narms = " in (ROOT / config).read_text()]
# Networks and data with what has no config, a baseline with an option: see `with_options`.
OPTIONS = [
    *(f"configs/cifar10/resnet18_{name}_cifar10.py" for name in ("official-saliencymix", "saliencymix-saliency-label")),
    *(f"configs/cifar10/resnet18_{name}_cifar10.py" for name in ("resizemix", "guidedmixup", "recursivemix")),
    *(f"configs/imagenet/{net}_saliencymix_in1k.py" for net in ("resnext50-32x4d", "swin-t", "convnext-t")),
    "configs/imagenet/resnet18_recursivemix_in1k.py",
    "configs/cifar10/fast/resnet18_recursivemix_cifar10.py",
]
TRAINED = [config for config in CONFIGS if config not in STUDIES] + OPTIONS


def detects(config: str) -> bool:
    return any(part in config for part in ("voc", "coco", "bccd", "detector"))


CLASSIFIERS = [config for config in TRAINED if not detects(config)]
# The smallest net of the paper with everything that mixes; the others train in the long tests.
AUGMENTS = (
    *("baseline", "cutout", "cutmix", "saliencymix", "saliencymix-network", "official-saliencymix"),
    *("resizemix", "guidedmixup", "saliencymix-saliency-label", "recursivemix"),
)
QUICK = [f"configs/cifar10/resnet18_{augment}_cifar10.py" for augment in AUGMENTS]
# One of each net on each data set, for the evaluation.
FAMILIES = [
    *(name for name in CLASSIFIERS if re.search(r"_baseline(_in1k|_cifar100?)?\.py$", name) and "plain" not in name),
    "configs/tiny_imagenet/resnet50_saliencymix_tiny-imagenet.py",
    # COCO's metric needs its annotations, see test_voc_configs.py.
    *(name for name in TRAINED if detects(name) and "coco" not in name),
]


def marked(configs: list[str], quick: list[str]) -> list:
    return [config if config in quick else pytest.param(config, marks=pytest.mark.long) for config in configs]


@pytest.fixture(scope="session")
def image_files(tmp_path_factory) -> dict[bool, Path]:
    """A made-up image of CIFAR's size, and one of a photograph's."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for name, size in (("small", (32, 32, 3)), ("large", (300, 400, 3))):
        cv2.imwrite(str(folder / f"{name}.png"), random.integers(0, 256, size, np.uint8))
    return {False: folder / "small.png", True: folder / "large.png"}


def classification_batch(dataset, image_files) -> dict:
    """Two made-up samples as the config's loader would collate them, from its own pipeline."""
    if dataset.type == "InMemoryDataset":
        images = torch.randint(0, 256, (2, 3, 32, 32), generator=torch.Generator().manual_seed(0)).byte()
        return dict(inputs=images, data_samples=torch.tensor([0, 1]), places=torch.tensor([0, 1]))
    while "dataset" in dataset:
        dataset = dataset.dataset
    large = any(step.type in ("LoadRandomResizedCrop", "RandomResizedCrop", "ResizeEdge") for step in dataset.pipeline)
    # The made-up images are files.
    dataset.pipeline[0].backend_args = None
    pipeline = Compose(dataset.pipeline)
    np.random.seed(0)
    return default_collate([pipeline(dict(img_path=str(image_files[large]), gt_label=n)) for n in range(2)])


def detection_batch() -> dict:
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    sample = DetDataSample(metainfo=dict(img_id=0, img_shape=(120, 160), ori_shape=(120, 160), scale_factor=(1.0, 1.0)))
    sample.gt_instances = InstanceData(bboxes=torch.tensor([[20.0, 30, 90, 100]]), labels=torch.tensor([1]))
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randint(0, 256, (3, 120, 160), generator=generator).byte() for _ in range(2)]
    return dict(inputs=inputs, data_samples=[sample, sample.clone()])


@pytest.fixture
def cfg_of(read, image_files, request):
    """A config with its scope set, and a made-up batch in training and one in the test."""

    def get(config: str):
        if "-network" in config:
            request.getfixturevalue("saliency_network")
        # A test changes its config.
        cfg = read.__wrapped__(config)
        init_default_scope(cfg.default_scope)
        if cfg.default_scope == "mmdet":
            return cfg, detection_batch(), detection_batch()
        first = [part.pipeline[0].type for part in parts(cfg) if "pipeline" in part]
        assert set(first) <= {"LoadImageFromFile", "LoadRandomResizedCrop"}
        batches = [
            classification_batch(loader.dataset, image_files) for loader in (cfg.train_dataloader, cfg.test_dataloader)
        ]
        # So that the augmentation is always applied.
        if cfg.data_preprocessor.get("batch_augments"):
            cfg.data_preprocessor.batch_augments.probs = 1.0
        cfg.model.data_preprocessor = cfg.data_preprocessor
        return cfg, *batches

    return get


def parts(cfg) -> list:
    """The data sets of a config without their wrappers."""
    found = []
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        dataset = loader.dataset
        while "dataset" in dataset:
            dataset = dataset.dataset
        found += dataset.get("datasets", [dataset])
    return found


def build_model(cfg):
    if cfg.default_scope == "mmdet":
        from mmdet.registry import MODELS
    else:
        from mmpretrain.registry import MODELS
    torch.manual_seed(0)
    return MODELS.build(cfg.model)


@pytest.mark.parametrize("config", marked(TRAINED, CLASSIFIERS))
def test_data_sets_pipelines_optimiser_schedule_and_hooks_build(config, cfg_of):
    cfg, batch, _ = cfg_of(config)
    if cfg.default_scope == "mmdet":
        from mmdet.registry import DATASETS, TRANSFORMS
    else:
        from mmpretrain.registry import DATASETS, TRANSFORMS

        sides = {32} if "imagenet/" not in config else {224}
        assert set(batch["inputs"].shape[2:]) == sides and batch["inputs"].dtype == torch.uint8
    for part in parts(cfg):
        assert DATASETS.get(part.type) is not None
        assert all(TRANSFORMS.build(transform) for transform in part.get("pipeline", ()))
    optimizer = build_optim_wrapper(torch.nn.Linear(2, 2), cfg.optim_wrapper).optimizer
    schedules = cfg.param_scheduler if isinstance(cfg.param_scheduler, list) else [cfg.param_scheduler]
    for schedule in schedules:
        settings = {name: value for name, value in schedule.items() if name != "_scope_"}
        kind = PARAM_SCHEDULERS.get(settings.pop("type"))
        if settings.pop("convert_to_iter_based", False):
            kind.build_iter_from_epoch(optimizer=optimizer, epoch_length=5, **settings)
        else:
            kind(optimizer, **settings)
    with HOOKS.switch_scope_and_registry(None) as registry:
        assert all(registry.get(hook.type) for hook in cfg.get("default_hooks", {}).values() if "type" in hook)
    assert all(HOOKS.build(hook) for hook in cfg.get("custom_hooks", ()))
    assert OPTIM_WRAPPERS.get(cfg.optim_wrapper.get("type", "OptimWrapper"))


STEPS: dict[str, float] = {}


def train_one_step(cfg, batch: dict) -> float:
    """The loss of a training step; of configs that differ in data and schedule alone, one is trained."""
    shape = [list(image.shape) for image in batch["inputs"]]
    key = json.dumps([cfg.model, cfg.optim_wrapper, shape], sort_keys=True, default=str)
    if key not in STEPS:
        model = build_model(cfg).train()
        before = [parameter.clone() for parameter in model.parameters()]
        wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
        STEPS[key] = model.train_step(batch, wrapper)["loss"].item()
        assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
        assert any(not torch.equal(*pair) for pair in zip(before, model.parameters()))
    return STEPS[key]


@pytest.mark.parametrize("config", marked(TRAINED, QUICK))
def test_a_training_step_gives_a_finite_loss(config, cfg_of):
    cfg, batch, _ = cfg_of(config)
    assert np.isfinite(train_one_step(cfg, batch))


@functools.lru_cache(None)
def voc_meta() -> dict:
    from mmdet.registry import DATASETS

    return dict(DATASETS.get("VOCDataset").METAINFO)


@pytest.mark.parametrize("config", marked(FAMILIES, ["configs/cifar10/resnet18_baseline_cifar10.py"]))
def test_an_evaluation_step_gives_a_figure(config, cfg_of):
    cfg, _, batch = cfg_of(config)
    model = build_model(cfg).eval()
    with torch.no_grad():
        samples = model.test_step(batch)
    evaluator = Evaluator(cfg.test_evaluator)
    if cfg.default_scope == "mmdet":
        metainfo = parts(cfg)[-1].get("metainfo", {})
        evaluator.dataset_meta = voc_meta() | dict(metainfo, dataset_type="VOC2007")
    evaluator.process(data_samples=samples, data_batch=batch)
    figures = evaluator.evaluate(size=len(samples))
    assert figures and all(0 <= value <= 100 for value in figures.values())


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_loads_and_begins_with_its_baseline(study):
    from smix_mm.study.config import load_study

    loaded = load_study(ROOT / study)
    # Without a baseline, its place is that of CutMix, which the others are compared with.
    first = "baseline" if "baseline" in loaded.arms else "cutmix"
    assert next(iter(loaded.arms)) == first and (loaded.detectors or loaded.metric.startswith("accuracy/"))


@pytest.mark.long
def test_imagenets_short_recipe_trains_on_photographs(smix_data, run_tool, losses, tmp_path):
    files = sorted((smix_data / "imagenet-samples").glob("*.JPEG"))[:4]
    for part in ("train", "val"):
        # The data set needs a thousand classes; most have no image here.
        for number in range(1000):
            (tmp_path / part / f"n{number:08d}").mkdir(parents=True)
        for number, file in enumerate(files):
            (tmp_path / part / f"n{number:08d}" / file.name).symlink_to(file)
    run = run_tool(
        "tools/train.py", "configs/imagenet/resnet50-100e_saliencymix_in1k.py", "--work-dir", tmp_path / "work",
        "--cfg-options", "train_dataloader.batch_size=2", "train_cfg.max_epochs=1", "param_scheduler.T_max=1",
        "default_hooks.logger.interval=1", "train_dataloader.num_workers=1", "val_dataloader.num_workers=1",
        SMIX_IMAGENET=tmp_path,
    )  # fmt: skip
    found = losses(run.stdout)
    assert len(found) == 2 and np.isfinite(found).all() and "accuracy/top5" in run.stdout
    weights = torch.load(tmp_path / "work/epoch_1.pth", weights_only=False)["state_dict"]
    assert weights["backbone.layer1.0.conv2.weight"].is_contiguous(memory_format=torch.channels_last)
    assert all(weight.dtype in (torch.float32, torch.int64) for weight in weights.values())


@pytest.mark.long
def test_imagenets_short_recipe_trains_on_packed_photographs(smix_data, run_tool, losses, tmp_path):
    pytest.importorskip("lmdb")
    for part in ("train", "val"):
        for number, file in enumerate(sorted((smix_data / "imagenet-samples").glob("*.JPEG"))[:4]):
            folder = tmp_path / "imagenet" / part / f"n{number:08d}"
            folder.mkdir(parents=True)
            (folder / file.name).symlink_to(file)
    run_tool("tools/prepare_data.py", "imagenet", "--root", tmp_path, "--pack")
    run = run_tool(
        "tools/train.py", "configs/imagenet/fast/resnet50-100e_saliencymix_in1k.py", "--work-dir", tmp_path / "work",
        "--cfg-options", "train_dataloader.batch_size=2", "train_cfg.max_epochs=1", "param_scheduler.T_max=1",
        "default_hooks.logger.interval=1", "train_dataloader.num_workers=1", "val_dataloader.num_workers=1",
        SMIX_IMAGENET_PACKED=tmp_path / "imagenet-packed",
    )  # fmt: skip
    found = losses(run.stdout)
    assert len(found) == 2 and np.isfinite(found).all() and "accuracy/top5" in run.stdout
