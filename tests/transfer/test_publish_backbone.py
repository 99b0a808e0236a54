"""Publishing a backbone from every kind of checkpoint that people have."""

import os
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import nn

from smix_mm.transfer import publish_backbone
from smix_mm.transfer.backbone import IMAGENET
from smix_mm.transfer.checkpoint import literal_assignments, read_checkpoint, state_dict_hash
from smix_mm.utils.errors import CheckpointError, UsageError

ROOT = Path(__file__).parents[2]
CONFIG = """
data_preprocessor = dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], to_rgb=True)
model = dict(backbone=dict(depth=18, style='caffe', type='ResNet'), type='ImageClassifier')
train_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImageFromFile')]))
"""


def backbone() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "conv1.weight": torch.randn(4, 3, 7, 7),
        "bn1.weight": torch.randn(4),
        "bn1.num_batches_tracked": torch.tensor(7),
        "layer1.0.conv1.weight": torch.randn(4, 4, 3, 3),
    }


def classifier(prefix: str = "") -> dict[str, torch.Tensor]:
    named = {f"{prefix}backbone.{name}": value for name, value in backbone().items()}
    return {**named, f"{prefix}head.fc.weight": torch.ones(2, 4)}


def publish(content, tmp_path: Path, **options):
    source, out = tmp_path / "epoch_1.pth", tmp_path / "backbone.pth"
    torch.save(content, source)
    meta = publish_backbone(source, out, **options)
    published = torch.load(out, weights_only=True)
    assert published["meta"] == meta
    return published["state_dict"], meta


def assert_is(state_dict, expected) -> None:
    assert state_dict.keys() == expected.keys()
    assert all(torch.equal(state_dict[name], expected[name]) for name in expected)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: dict(state_dict=OrderedDict(x), meta=dict(epoch=3))])
def test_only_the_backbone_is_written_under_its_own_names(tmp_path, prefix, wrap):
    state_dict, meta = publish(wrap(classifier(prefix)), tmp_path)
    assert_is(state_dict, backbone())
    assert meta["hash"] == state_dict_hash(backbone()) and meta["source"] == "epoch_1.pth"
    assert meta["stem"] == "imagenet" and meta["weights"] == "trained"


def test_what_shapes_cannot_show_is_read_from_the_configs_text_without_running_it(tmp_path):
    evil = f"{CONFIG}\nbad = __import__('os').system('touch {tmp_path}/ran')\n"
    _, meta = publish(dict(state_dict=classifier(), meta=dict(cfg=evil)), tmp_path)
    assert (meta["style"], meta["channel_order"]) == ("caffe", "rgb")
    assert (meta["mean"], meta["std"]) == ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "kind, style",
    [("mmpretrain.ResNeXt", "pytorch"), ("SEResNet", "pytorch"), ("RegNet", "pytorch"), ("Res2Net", "pytorch"),
     ("ConvNeXt", None)],
)  # fmt: skip
def test_a_style_that_a_config_leaves_out_is_pytorch_where_there_is_one(tmp_path, kind, style):
    text = CONFIG.replace("style='caffe', type='ResNet'", f"type='{kind}'")
    assert publish(dict(state_dict=classifier(), meta=dict(cfg=text)), tmp_path)[1]["style"] == style


@pytest.mark.parametrize(
    "loads, flips, order",
    [("LoadImageFromFile", True, "rgb"), ("LoadImageFromFile", False, "bgr"), ("RandomFlip", False, "rgb")],
)
def test_the_channel_order_follows_where_the_images_come_from(tmp_path, loads, flips, order):
    text = CONFIG.replace("LoadImageFromFile", loads).replace("to_rgb=True", f"to_rgb={flips}")
    assert publish(dict(state_dict=classifier(), meta=dict(cfg=text)), tmp_path)[1]["channel_order"] == order


def test_a_config_without_the_training_data_does_not_show_the_channel_order(tmp_path):
    text = "\n".join(CONFIG.splitlines()[:-1])
    _, meta = publish(dict(state_dict=classifier(), meta=dict(cfg=text)), tmp_path)
    assert meta["channel_order"] is None and "channel_order" not in meta["origin"]


def test_what_a_checkpoint_does_not_record_is_unknown_or_as_stated_and_is_not_contradicted(tmp_path):
    _, meta = publish(classifier(), tmp_path)
    assert [meta[name] for name in IMAGENET] == [None] * 4 and meta["origin"] == {}
    _, meta = publish(classifier(), tmp_path, channel_order="bgr", mean=[1, 2, 3])
    assert (meta["channel_order"], meta["mean"], meta["std"]) == ("bgr", [1.0, 2.0, 3.0], None)
    assert meta["origin"] == dict(channel_order="stated", mean="stated")
    recorded = dict(state_dict=classifier(), meta=dict(cfg=CONFIG))
    with pytest.raises(CheckpointError, match="channel_order=bgr was stated, but .* was trained with rgb"):
        publish(recorded, tmp_path, channel_order="bgr")
    with pytest.raises(CheckpointError, match=r"mean=\[1.0, 2.0, 4.0\] was stated, but .* with \[1.0, 2.0, 3.0"):
        publish(recorded, tmp_path, mean=[1, 2, 4])
    _, meta = publish(recorded, tmp_path, mean=[1, 2, 3], style="caffe")
    assert meta["origin"] == dict.fromkeys(IMAGENET, "read")


def test_a_plain_resnet_beside_a_config_has_the_values_of_the_config(tmp_path):
    resnet = {"conv1.weight": torch.ones(4, 3, 3, 3), "bn1.running_mean": torch.ones(4)}
    resnet |= {f"bn1.{name}": torch.ones(4) for name in ("weight", "bias", "running_var")}
    for stage in (1, 2, 3, 4):
        resnet[f"layer{stage}.0.conv1.weight"] = torch.ones(4, 4, 3, 3)
        resnet |= {f"layer{stage}.0.bn1.{name}": torch.ones(4) for name in ("weight", "bias", "running_mean",
                                                                             "running_var")}  # fmt: skip
    _, meta = publish(dict(state_dict=resnet, meta=dict(cfg=CONFIG)), tmp_path)
    assert meta["mean"] == [1.0, 2.0, 3.0] and meta["origin"]["mean"] == "read"
    with pytest.raises(CheckpointError, match="std=.* was stated, but .* was trained with"):
        publish(dict(state_dict=resnet, meta=dict(cfg=CONFIG)), tmp_path, std=[58.395, 57.12, 57.375])


@pytest.mark.parametrize(
    "mean, std, expected",
    [
        ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], (IMAGENET["mean"], IMAGENET["std"])),
        (IMAGENET["mean"], IMAGENET["std"], (IMAGENET["mean"], IMAGENET["std"])),
        ([103.53, 116.28, 123.675], [1, 1, 1], ([103.53, 116.28, 123.675], [1, 1, 1])),
        ([0, 0, 0], [255, 255, 255], ([0, 0, 0], [255, 255, 255])),
        ([0.5] * 3, [0.5] * 3, ([127.5] * 3, [127.5] * 3)),
        ([0, 0, 0], None, ([0, 0, 0], None)),
        (None, [0.229, 0.224, 0.225], (None, IMAGENET["std"])),
    ],
)
def test_mean_and_std_are_recorded_for_0_to_255_from_either_scale(tmp_path, mean, std, expected):
    _, meta = publish(classifier(), tmp_path, mean=mean, std=std)
    for found, each in zip((meta["mean"], meta["std"]), expected):
        assert found == (None if each is None else pytest.approx(list(each)))


@pytest.mark.parametrize(
    "stated, message",
    [
        (dict(mean=[float("nan"), 1, 2]), "mean should be 3 numbers from 0 to 255, got"),
        (dict(mean=[-0.4, 0.4, 0.4]), "mean should be 3 numbers from 0 to 255"),
        (dict(mean=[300, 1, 2]), "mean should be 3 numbers from 0 to 255"),
        (dict(mean=[1, 2]), "mean should be 3 numbers"),
        (dict(mean=0.5), "mean should be 3 numbers"),
        (dict(mean=["a", "b", "c"]), "mean should be 3 numbers"),
        (dict(std=[0, 1, 2]), "std should be 3 numbers from more than 0 to 255"),
        (dict(std=[float("inf"), 1, 2]), "std should be 3 numbers"),
        (dict(mean=[0.485, 0.456, 0.406], std=[58.4, 57.1, 57.4]), "both be for pixels in 0 to 255, or both for 0 to"),
        (dict(mean=[123.7, 116.3, 103.5], std=[0.229, 0.224, 0.225]), "both be for pixels in 0 to 255, or both"),
        (dict(mean=[0, 0, 0], std=[1, 1, 1]), "only divided by 255, state mean 0 and std 255"),
        (dict(std=[1, 1, 1]), "both be for pixels in 0 to 255, or both for 0 to 1"),
        (dict(channel_order="grb"), "channel_order should be one of 'rgb', 'bgr', got 'grb'"),
        (dict(style="tf"), "style should be one of 'pytorch', 'caffe', got 'tf'"),
    ],
)
def test_impossible_statements_are_refused(tmp_path, stated, message):
    with pytest.raises(UsageError, match=message):
        publish(classifier(), tmp_path, **stated)
    assert not (tmp_path / "backbone.pth").exists()


def test_with_mmengines_ema_the_average_is_the_default_and_the_raw_weights_on_request(tmp_path):
    from mmengine.hooks import EMAHook
    from mmengine.model import ExponentialMovingAverage

    model = nn.Module()
    model.backbone = nn.Sequential(OrderedDict(conv1=nn.Conv2d(3, 2, 7)))
    hook = EMAHook()
    hook.src_model, hook.ema_model = model, ExponentialMovingAverage(model, momentum=0.5)
    averaged = {name: value.clone() for name, value in hook.ema_model.module.backbone.state_dict().items()}
    with torch.no_grad():
        model.backbone.conv1.weight.fill_(3)
    raw = {name: value.clone() for name, value in model.backbone.state_dict().items()}
    checkpoint = dict(state_dict=model.state_dict(), meta={})
    hook.before_save_checkpoint(None, checkpoint)

    state_dict, meta = publish(checkpoint, tmp_path)
    assert_is(state_dict, averaged)
    assert meta["weights"] == "averaged"
    state_dict, meta = publish(checkpoint, tmp_path, weights="raw")
    assert_is(state_dict, raw)
    assert meta["weights"] == "raw"


def test_timms_ema_is_understood_as_well(tmp_path):
    raw, averaged = classifier(), {name: value + 1 for name, value in classifier().items()}
    checkpoint = dict(state_dict=raw, state_dict_ema=averaged)
    assert torch.equal(publish(checkpoint, tmp_path)[0]["bn1.weight"], backbone()["bn1.weight"] + 1)
    assert torch.equal(publish(checkpoint, tmp_path, weights="raw")[0]["bn1.weight"], backbone()["bn1.weight"])


def test_raw_weights_are_refused_where_there_is_no_average(tmp_path):
    with pytest.raises(ValueError, match="no moving average"):
        publish(dict(state_dict=classifier()), tmp_path, weights="raw")
    with pytest.raises(ValueError, match="weights should be one of 'averaged', 'raw', got 'best'"):
        publish(classifier(), tmp_path, weights="best")


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_a_resnet_of_torchvision_or_timm_fits_mmdetections(tmp_path, library):
    torch.manual_seed(0)
    if library == "torchvision":
        import torchvision

        model = torchvision.models.resnet18(weights=None)
    else:
        model = pytest.importorskip("timm").create_model("resnet18", pretrained=False)
    _, meta = publish(model.state_dict(), tmp_path, **IMAGENET, stated_by=library)
    assert (meta["style"], meta["channel_order"], meta["stem"]) == ("pytorch", "rgb", "imagenet")
    assert meta["mean"] == [123.675, 116.28, 103.53]
    assert meta["origin"] == dict.fromkeys(IMAGENET, f"stated by {library}")

    from mmdet.models import ResNet

    from smix_mm.transfer import prove_loaded

    detector = nn.Module()
    detector.backbone = ResNet(18, init_cfg=dict(type="Pretrained", checkpoint=str(tmp_path / "backbone.pth")))
    detector.backbone.init_weights()
    prove_loaded(detector, tmp_path / "backbone.pth")


def test_other_names_are_refused_with_a_look_at_them(tmp_path):
    with pytest.raises(CheckpointError, match="no backbone is found.*patch_embed.proj.weight"):
        publish({"patch_embed.proj.weight": torch.ones(2)}, tmp_path)
    with pytest.raises(CheckpointError, match="no backbone is found"):
        publish({}, tmp_path)


def test_a_published_file_is_not_published_again(tmp_path):
    publish(classifier(), tmp_path)
    with pytest.raises(CheckpointError, match="already a published backbone"):
        publish_backbone(tmp_path / "backbone.pth", tmp_path / "again.pth")


class Touches:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


class Reaches:
    def __reduce__(self):
        return getattr, (os.PathLike, "__class__")


@pytest.mark.parametrize("hostile", [Touches, lambda path: Reaches()])
def test_a_checkpoint_that_would_run_code_is_refused_unread(tmp_path, hostile):
    torch.save(dict(state_dict=classifier(), extra=hostile(tmp_path / "ran")), tmp_path / "epoch_1.pth")
    with pytest.raises(CheckpointError, match="refused"):
        publish_backbone(tmp_path / "epoch_1.pth", tmp_path / "backbone.pth")
    assert not (tmp_path / "ran").exists() and not (tmp_path / "backbone.pth").exists()


def test_what_mmengine_writes_into_a_checkpoint_is_read(tmp_path):
    import numpy as np
    from mmengine.logging import HistoryBuffer

    content = dict(message_hub=dict(log_scalars=dict(loss=HistoryBuffer([1.0, 2.0], [1, 1]))), seen=np.int64(3))
    torch.save(content, tmp_path / "epoch_1.pth")
    read = read_checkpoint(tmp_path / "epoch_1.pth")
    assert read["message_hub"]["log_scalars"]["loss"].mean() == 1.5 and read["seen"] == 3


def test_config_text_is_read_as_literals_alone():
    assert literal_assignments("a = dict(b=[1, -2.5], c=('x', None))\nd = open('x')\ne = {'f': True}") == dict(
        a=dict(b=[1, -2.5], c=["x", None]), e=dict(f=True)
    )
    assert literal_assignments("this is no python") == {}


def test_the_command_line_prints_what_it_wrote_and_says_what_is_wrong(tmp_path):
    torch.save(classifier(), tmp_path / "epoch_1.pth")

    def run(*arguments):
        command = [sys.executable, ROOT / "tools/publish_backbone.py", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True)

    good = run(tmp_path / "epoch_1.pth", tmp_path / "backbone.pth")
    assert good.returncode == 0 and state_dict_hash(backbone()) in good.stdout
    assert "mean  not known" in good.stdout
    assert good.stdout.endswith("state it with --style --channel-order --mean --std.\n")
    stated = run(tmp_path / "epoch_1.pth", tmp_path / "backbone.pth", "--imagenet")
    assert "(123.675" not in stated.stdout and "[123.675, 116.28, 103.53]  (stated)" in stated.stdout
    bad = run(tmp_path / "epoch_2.pth", tmp_path / "backbone.pth")
    assert bad.returncode == 2 and "epoch_2.pth does not exist" in bad.stderr and len(bad.stderr.splitlines()) == 1


def test_the_checkpoint_itself_is_never_overwritten(tmp_path):
    source = tmp_path / "epoch_1.pth"
    torch.save(dict(state_dict=classifier(), optimizer={}), source)
    before = source.read_bytes()
    (tmp_path / "link.pth").symlink_to(source)
    (tmp_path / "hard.pth").hardlink_to(source)
    (tmp_path / "folder").mkdir()
    for out in (source, tmp_path / "link.pth", tmp_path / "hard.pth", tmp_path / "folder" / ".." / "epoch_1.pth"):
        with pytest.raises(UsageError, match="the output should be another file than the input"):
            publish_backbone(source, out)
    assert source.read_bytes() == before


def test_publishing_twice_writes_the_same_bytes(tmp_path):
    source = tmp_path / "resnet18.pth"
    torch.save(classifier(), source)
    for name in ("one.pth", "two.pth"):
        publish_backbone(source, tmp_path / name)
    assert (tmp_path / "one.pth").read_bytes() == (tmp_path / "two.pth").read_bytes()
