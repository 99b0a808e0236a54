"""Which file a config's name means, and the option that puts an augmentation on a config."""

from pathlib import Path

import pytest

from smix_mm.engine.launch import load_config
from smix_mm.engine.train import train
from smix_mm.study.config import load_study
from smix_mm.utils.config import find_config, read_config
from smix_mm.utils.errors import UsageError

ROOT = Path(__file__).parents[2]
NAME = "configs/cifar10/resnet18_baseline_cifar10.py"


def test_this_packages_configs_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config(NAME) == ROOT / NAME
    assert load_config(NAME, tmp_path, None, "none").model.backbone.depth == 18
    assert read_config(NAME).filename == str(ROOT / NAME)
    assert load_study("configs/demo/study.py").arms["baseline"].path.parent == ROOT / "configs/demo"


def test_a_config_that_is_there_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = Path(NAME)
    own.parent.mkdir(parents=True)
    own.write_text("")
    assert find_config(NAME) == own


@pytest.mark.parametrize("name", ["resnet18_baseline.py", "configs/none.py"])
def test_no_other_name_is_looked_for(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=f"config {name} does not exist"):
        load_config(name, tmp_path, None, "none")


def test_an_augmentation_has_the_data_preprocessors_mean_and_std_and_a_work_dir_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    normalisation = dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0])
    Path("mine.py").write_text(
        f"_base_ = {str(ROOT / NAME)!r}\ndata_preprocessor = dict(num_classes=7, **{normalisation})\n"
    )
    options = {"augment": "saliencymix", "augment.source": "random", "augment.saliency.type": "FrequencyTunedSaliency"}
    cfg = load_config("mine.py", None, options, "none")
    assert cfg.data_preprocessor.batch_augments == dict(
        augments=dict(type="SaliencyMix", alpha=1.0, channel_order="rgb", source="random",
                      saliency=dict(type="FrequencyTunedSaliency"), **normalisation),
        probs=0.5,
    )  # fmt: skip
    assert cfg.work_dir == "work_dirs/mine_saliencymix" and Path(cfg.filename).name == "mine_saliencymix.py"
    assert load_config(NAME, None, dict(augment="cutmix"), "none").work_dir == "work_dirs/resnet18_cutmix_cifar10"
    assert load_config(NAME, tmp_path, dict(augment=None), "none").to_dict().keys() == cfg.to_dict().keys()


def test_the_settings_of_an_augmentation_are_those_of_the_number_of_classes_or_are_chosen_by_name():
    def lengths(**options):
        cfg = read_config(ROOT / NAME, options)
        return cfg.data_preprocessor.batch_augments.augments.length

    assert lengths(augment="cutout") == 16 and lengths(augment="cutout_imagenet") == 112


def test_an_augmentation_takes_the_place_of_none_but_not_of_mmpretrains_own_setting(tmp_path):
    config = tmp_path / "mine.py"
    config.write_text(f"_base_ = {str(ROOT / NAME)!r}\ndata_preprocessor = dict(batch_augments=None)")
    assert read_config(config, dict(augment="cutmix")).data_preprocessor.batch_augments.augments.type == "CutMix"
    config.write_text(f"_base_ = {str(ROOT / NAME)!r}\nmodel = dict(train_cfg=dict(augments=dict(type='Mixup')))")
    with pytest.raises(UsageError, match="without batch augmentation"):
        read_config(config, dict(augment="cutmix"))


def test_a_training_with_options_of_an_augmentation_needs_a_work_dir():
    with pytest.raises(UsageError, match="need a --work-dir"):
        train(ROOT / NAME, cfg_options={"augment": "saliencymix", "augment.source": "random"})


@pytest.mark.parametrize(
    "config, options, message",
    [
        (NAME, dict(augment="cutmax"), "augment should be one of cutmix, .*, saliencymix_imagenet, got cutmax$"),
        (NAME, dict(augment=""), "augment should be one of .*, got $"),
        (NAME, {"augment.alpha": 0.5}, "augment.alpha needs a batch augmentation, which .* lacks; add augment=NAME"),
        (
            "configs/cifar10/resnet18_cutmix_cifar10.py",
            dict(augment="cutmix"),
            "augment=cutmix needs the config of a c",
        ),
        ("configs/voc/faster-rcnn_r50_fpn_1x_voc0712.py", dict(augment="cutmix"), "without batch augmentation"),
    ],
)
def test_an_augmentation_that_does_not_exist_or_does_not_fit_is_refused(config, options, message):
    with pytest.raises(UsageError, match=message):
        read_config(ROOT / config, options)
