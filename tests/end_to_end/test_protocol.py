"""Every config of the paper's rows has the paper's settings; those of a comparison differ in what is compared."""

import copy
import inspect
import itertools
import re
from dataclasses import asdict
from pathlib import Path

import pytest
import tomllib
import torch
from mmengine.registry import PARAM_SCHEDULERS

from smix_mm.batch_augments import SaliencyMix
from smix_mm.experiments.listing import BATCH_256
from smix_mm.mixing import MixOptions
from smix_mm.utils.config import read_config

ROOT = Path(__file__).parents[2]
EXPECTED = tomllib.loads((ROOT / "tests/data/protocol.toml").read_text())
CONFIGS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "configs").rglob("*.py") if "_base_" not in path.parts)


def grid() -> list[str]:
    """The name of every net with every augmentation; some have a file, the others are a baseline with an option."""
    names = set()
    for data, row in EXPECTED["rows"].items():
        variants = ("", "-100e") if data == "imagenet" else ("", "-plain")
        for net, augment, variant in itertools.product(row["nets"], row["augments"], variants):
            names.add(f"configs/{data}/{net}{variant}_{augment}{EXPECTED['data'][data]['ending']}.py")
    names |= {f"configs/cifar10/resnet18_saliencymix-{choice}_cifar10.py" for choice in EXPECTED["choice"]}
    for detector in ("", "-spectral-residual", "-frequency-tuned", "-network"):
        names.add(f"configs/tiny_imagenet/resnet50_saliencymix{detector}_tiny-imagenet.py")
    for data, net in EXPECTED["rivals"]["nets"].items():
        ending = EXPECTED["data"][data]["ending"]
        names |= {f"configs/{data}/{net}_{augment}{ending}.py" for augment in EXPECTED["rivals"]["augments"]}
    return sorted(names)


PAPER = grid()
AUGMENT = re.compile(
    r"_(cutout|mixup|cutmix|official-saliencymix|saliencymix|resizemix|guidedmixup|recursivemix)(?=[_.])"
)
MIXED = sorted({config for config in CONFIGS + PAPER if AUGMENT.search(config) and "captured" not in config})
CHOSEN = [config for config in PAPER if "_saliencymix-" in config]
LOAD, PACK = dict(type="LoadImageFromFile"), dict(type="PackInputs")


def name_parts(config: str) -> tuple[dict, str, str, list[str], str | None]:
    """The parts of a config's name: data set, net, augmentation, variants, choice."""
    path = Path(config)
    data = EXPECTED["data"][path.parent.name]
    assert path.stem.endswith(data["ending"])
    net, augment = path.stem.removesuffix(data["ending"]).split("_")
    variants = re.findall(r"-(plain|100e)$", net)
    chosen = re.fullmatch(r"saliencymix-(.+)", augment)
    return (
        data,
        re.sub(r"-(plain|100e)$", "", net),
        "saliencymix" if chosen else augment,
        variants,
        chosen and chosen[1],
    )


def expected(config: str, *more_variants: str) -> dict:
    """The settings of the protocol for a config."""
    data, net, augment, variants, choice = name_parts(config)
    base = dict(wrapper="OptimWrapper", hooks=[], **data)
    for variant in (*variants, *more_variants):
        base |= EXPECTED["variant"][variant]
    backbone = dict(type=base["resnet"]) | EXPECTED["net"][net]
    clip = None
    if net in ("swin-t", "convnext-t"):
        adamw, warm_up = EXPECTED["adamw"], EXPECTED["adamw"]["warm_up"][str(base["epochs"])]
        by_epoch = dict(by_epoch=True, convert_to_iter_based=True)
        cosine = dict(eta_min=2.5e-6, begin=warm_up, T_max=base["epochs"] - warm_up)
        decay = [dict(type="LinearLR", start_factor=1e-3, end=warm_up), dict(type="CosineAnnealingLR", **cosine)]
        optimizer = adamw["optimizer"] | dict(betas=tuple(adamw["optimizer"]["betas"]))
        base |= dict(optimizer=optimizer, decay=[{**schedule, **by_epoch} for schedule in decay])
        clip = adamw["clip"].get(net)
    mixed = augment != "baseline"
    mixing = EXPECTED["augment"][augment] | (EXPECTED["choice"][choice] if choice else {}) if mixed else None
    if augment == "cutout":
        mixing |= dict(length=base["cutout_length"])
    if augment in ("saliencymix", "guidedmixup"):
        mixing |= dict(mean=base["mean"], std=base["std"], channel_order="rgb")
    return dict(
        classes=(base["classes"], base["classes"]),
        backbone=backbone,
        normalisation=(base["mean"], base["std"]),
        train=base["train"],
        test=base["test"],
        batch=base["batch"],
        meant_for_batch=base["batch"],
        parts=("train", base["test_part"], True, False),
        epochs=base["epochs"],
        optimizer=base["optimizer"],
        wrapper=(base["wrapper"], clip, 1),
        decay=base["decay"],
        mixing=mixing,
        probability=None if not mixed else 1.0 if augment in ("cutout", "recursivemix") else base["mixing_probability"],
        hooks=base["hooks"],
    )


def settings_of(cfg) -> dict:
    """The same settings in a config that mmengine has read."""
    model, wrapper, loaders = cfg.model, cfg.optim_wrapper, (cfg.train_dataloader, cfg.test_dataloader)
    backbone = dict(model.backbone)
    for same_for_all in ("num_stages", "out_indices", "style"):
        backbone.pop(same_for_all, None)
    augments = cfg.data_preprocessor.get("batch_augments")
    return dict(
        classes=(model.head.num_classes, cfg.data_preprocessor.num_classes),
        backbone=backbone | dict(features=model.head.in_channels),
        normalisation=(cfg.data_preprocessor.mean, cfg.data_preprocessor.std),
        train=[step for step in cfg.train_dataloader.dataset.pipeline if step not in (LOAD, PACK)],
        test=[step for step in cfg.test_dataloader.dataset.pipeline if step not in (LOAD, PACK)],
        batch=cfg.train_dataloader.batch_size,
        meant_for_batch=cfg.auto_scale_lr.base_batch_size,
        parts=(*(part_of(loader.dataset) for loader in loaders), *(loader.sampler.shuffle for loader in loaders)),
        epochs=cfg.train_cfg.max_epochs,
        optimizer=dict(wrapper.optimizer),
        wrapper=(wrapper.get("type", "OptimWrapper"), wrapper.get("clip_grad"), wrapper.get("accumulative_counts", 1)),
        decay=[*map(dict, cfg.param_scheduler)] if isinstance(cfg.param_scheduler, list) else dict(cfg.param_scheduler),
        mixing=mixing_of(augments.augments) if augments else None,
        probability=augments.probs if augments else None,
        hooks=[hook.type for hook in cfg.get("custom_hooks", [])],
    )


def part_of(dataset: dict) -> str:
    """Which part of the data is read."""
    return dataset.get("split") or dataset["data_prefix"]


def mixing_of(augment: dict) -> dict:
    """An augmentation's settings; those of SaliencyMix with its defaults."""
    if augment["type"] != "SaliencyMix":
        return dict(augment)
    named = [each for each in inspect.signature(SaliencyMix).parameters.values() if each.kind is not each.VAR_KEYWORD]
    settings = asdict(MixOptions()) | {each.name: each.default for each in named} | augment
    return settings | dict(saliency=settings["saliency"]["type"])


def test_every_config_of_these_data_sets_is_in_the_grid_and_every_baseline_is_a_file():
    files = [config for config in CONFIGS if Path(config).parent.name in EXPECTED["data"]]
    assert {config for config in files if "imagenet-stem" not in config and "/fast/" not in config} <= {*PAPER}
    assert {config for config in PAPER if "_baseline_" in config} <= {*files}
    assert len(PAPER) > 150


@pytest.mark.parametrize(
    "config", [config for config in MIXED if config in CONFIGS and not re.search("saliencymix-|tiny", config)]
)
def test_the_baseline_with_an_augmentation_as_its_option_is_the_config_of_that_name(config, read):
    augment = AUGMENT.search(config)[1]
    found = read_config(ROOT / config.replace(f"_{augment}_", "_baseline_"), dict(augment=augment))
    assert found.to_dict() == read(config).to_dict() and found.filename == str(ROOT / config)


@pytest.mark.parametrize("config", PAPER)
def test_a_config_has_the_settings_of_the_protocol(config, read):
    assert settings_of(read(config)) == expected(config)


@pytest.mark.parametrize("data, official", [("cifar10", "cifar-10-batches-py"), ("cifar100", "cifar-100-python")])
def test_with_the_official_files_the_protocol_is_the_same(data, official, read, tmp_path, monkeypatch):
    (tmp_path / official).mkdir()
    monkeypatch.setenv(f"SMIX_{data.upper()}", str(tmp_path))
    ending = EXPECTED["data"][data]["ending"]
    for net in ("resnet18", "resnet18-plain"):
        config = f"configs/{data}/{net}_saliencymix{ending}.py"
        cfg = read.__wrapped__(config)
        assert settings_of(cfg) == expected(config)
        for loader, split in ((cfg.train_dataloader, "train"), (cfg.test_dataloader, "test")):
            assert (loader.dataset.type, loader.dataset.split) == (data.upper(), split)
            assert loader.dataset.data_root == str(tmp_path) and not loader.dataset.download


def differences(one, two, place: str = "") -> set[str]:
    """Dotted names under which two nested settings differ."""
    if isinstance(one, dict) and isinstance(two, dict):
        names = set(one) | set(two)
        return set().union(*(differences(one.get(n), two.get(n), f"{place}.{n}".lstrip(".")) for n in names), set())
    return set() if one == two else {place}


@pytest.mark.parametrize("config", [config for config in MIXED if "tiny" not in config])
def test_configs_of_a_comparison_differ_in_their_augmentation_alone(config, read):
    baseline = read(AUGMENT.sub("_baseline", config))
    assert not baseline.data_preprocessor.get("batch_augments")
    own = {"model.type", "model.omega"} if "_recursivemix" in config else set()
    assert differences(baseline.to_dict(), read(config).to_dict()) == {"data_preprocessor.batch_augments", *own}


@pytest.mark.parametrize("config", CHOSEN)
def test_detectors_and_schemes_differ_in_what_is_chosen_alone(config, read):
    choice = name_parts(config)[4]
    usual = read(config.replace(f"-{choice}", ""))
    place = "data_preprocessor.batch_augments.augments"
    changed = {f"{place}.{name}" for name in EXPECTED["choice"][choice]}
    assert differences(usual.to_dict(), read(config).to_dict()) == changed


@pytest.mark.parametrize("config", [config for config in PAPER if "-plain" in config])
def test_without_crop_and_flip_the_training_pipeline_alone_differs(config, read):
    usual = read(config.replace("-plain", ""))
    assert differences(usual.to_dict(), read(config).to_dict()) == {
        "train_pipeline",
        "train_dataloader.dataset.pipeline",
    }


@pytest.mark.parametrize("config", [config for config in PAPER if "/cifar" in config])
def test_the_options_of_batch_256_change_the_batch_alone_to_that_of_the_papers_text(config, read):
    options = {name: int(value) for name, value in re.findall(r"(\S+)=(\d+)", BATCH_256)}
    cfg = copy.deepcopy(read(config))
    cfg.merge_from_dict(options)
    assert settings_of(cfg) == expected(config, "b256")
    assert differences(read(config).to_dict(), cfg.to_dict()) == set(options)


def test_the_options_of_batch_256_are_those_of_the_documentation():
    assert BATCH_256 in (ROOT / "docs/configs.md").read_text("utf-8")


@pytest.mark.parametrize("config", [config for config in MIXED if re.search("_(saliencymix|guidedmixup)", config)])
def test_saliencymix_has_the_mean_and_std_of_its_data_preprocessor(config, read):
    cfg = read(config)
    preprocessor, augment = cfg.data_preprocessor, cfg.data_preprocessor.batch_augments.augments
    assert (augment.mean, augment.std) == (preprocessor.mean, preprocessor.std)
    dataset = cfg.train_dataloader.dataset
    dataset = dataset.get("dataset", dataset)
    from_files = dataset.type in ("CustomDataset", "ImageNet")
    assert from_files or dataset.type in ("CIFAR10", "CIFAR100", "InMemoryDataset")
    flipped = preprocessor.get("to_rgb", False)
    order = "rgb" if from_files == flipped else "bgr"
    assert augment.get("channel_order", "rgb") == order == "rgb"


def rates(cfg, steps_an_epoch: int, epochs: list[int]) -> list[float]:
    """Dry run: the learning rate of the first step of each of the epochs."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    settings = dict(cfg.optim_wrapper.optimizer)
    optimizer = getattr(torch.optim, settings.pop("type"))([parameter], **settings)
    schedule = dict(cfg.param_scheduler)
    by_step = schedule.pop("convert_to_iter_based", False)
    kind = PARAM_SCHEDULERS.get(schedule.pop("type"))
    if by_step:
        scheduler = kind.build_iter_from_epoch(optimizer=optimizer, epoch_length=steps_an_epoch, **schedule)
    else:
        scheduler = kind(optimizer, **schedule)
    seen = []
    for _ in range(cfg.train_cfg.max_epochs):
        seen.append(optimizer.param_groups[0]["lr"])
        for _ in range(steps_an_epoch):
            optimizer.step()
            if by_step:
                scheduler.step()
        if not by_step:
            scheduler.step()
    return [seen[epoch] for epoch in epochs]


def test_the_learning_rate_of_200_epochs(read):
    cfg = read("configs/cifar10/resnet18_saliencymix_cifar10.py")
    found = rates(cfg, 2, [0, 59, 60, 119, 120, 159, 160, 199])
    assert found == pytest.approx([0.1, 0.1, 0.02, 0.02, 0.004, 0.004, 0.0008, 0.0008], rel=1e-9)


def test_the_learning_rate_of_300_and_of_100_epochs(read):
    found = rates(read("configs/imagenet/resnet50_cutmix_in1k.py"), 1, [0, 74, 75, 149, 150, 224, 225, 299])
    assert found == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001], rel=1e-9)
    found = rates(read("configs/tiny_imagenet/resnet50_saliencymix_tiny-imagenet.py"), 1, [0, 29, 30, 60, 90, 99])
    assert found == pytest.approx([0.1, 0.1, 0.01, 0.001, 0.0001, 0.0001], rel=1e-9)
    found = rates(read("configs/imagenet/resnet50-100e_cutmix_in1k.py"), 4, [0, 25, 50, 75])
    half = 2**0.5 / 2
    assert found == pytest.approx([0.1, 0.05 * (1 + half), 0.05, 0.05 * (1 - half)], rel=1e-6)
