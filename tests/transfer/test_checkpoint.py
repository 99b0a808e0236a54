"""Checkpoints as mmengine writes them are read whole; damaged or hostile ones end in one kind of error."""

import argparse
import gzip
import io
import json
import os
import pickle
import random
import re
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("mmengine")

from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import CosineAnnealingLR, LinearLR, MultiStepLR, OptimWrapper, ReduceOnPlateauLR

from smix_mm.transfer.checkpoint import read_checkpoint
from smix_mm.utils.errors import CheckpointError

DAMAGED = 500


def written_by_mmengine():
    """What a Runner puts into a checkpoint, of every kind that its parts hold."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    hub = MessageHub("checkpoint test")
    for step in range(3):
        model(torch.randn(5, 3)).sum().backward()
        optimizer.step()
        hub.update_scalar("train/loss", torch.tensor(0.5 + step))
        hub.update_scalar("train/lr", 0.1, count=2)
    hub.update_info("keep_ckpt_ids", [1, 2])
    hub.update_info("best_score", np.float32(0.25))
    hub.update_info("kinds", {kind: np.arange(3).astype(kind) for kind in ("?", "i1", "u2", "i8", "f2", "f8")})
    schedulers = [
        LinearLR(optimizer, start_factor=0.1, end=3),
        MultiStepLR(optimizer, [2, 3]),
        CosineAnnealingLR(optimizer, T_max=4),
        ReduceOnPlateauLR(optimizer, monitor="top1", rule="greater"),
    ]
    wrapped = OptimWrapper(optimizer).state_dict()
    wrapped["loss_scaler"] = dict(scale=65536.0, growth_factor=2.0, growth_interval=2000, _growth_tracker=3)
    wrapped["base_param_settings"] = dict(params=torch.tensor([0.0]), lr=0.1, betas=(0.9, 0.999), foreach=None)
    return dict(
        meta=dict(epoch=1, iter=3, seed=7, cfg="a = 1\n", dataset_meta=dict(classes=("a", "b"), palette=[(1, 2, 3)])),
        state_dict=model.state_dict(),
        ema_state_dict=ExponentialMovingAverage(model).state_dict(),
        message_hub=hub.state_dict(),
        optimizer=wrapped,
        param_schedulers=[scheduler.state_dict() for scheduler in schedulers],
        smix_resume=dict(random=torch.get_rng_state(), gauss=None),
    )


def same(first, second):
    """Whether two contents are equal to the last bit, NaN included."""
    if type(first) is not type(second):
        return False
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and first.tobytes() == second.tobytes()
    if isinstance(first, HistoryBuffer):
        return first.max_length == second.max_length and same(first.data, second.data)
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[name], second[name]) for name in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


@pytest.fixture(scope="module")
def content():
    return written_by_mmengine()


def stored(content, **options):
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def test_all_that_mmengine_writes_is_read(content, tmp_path):
    path = tmp_path / "epoch_1.pth"
    path.write_bytes(stored(content))
    read = read_checkpoint(path)
    assert same(read, content)
    buffer = read["message_hub"]["log_scalars"]["train/loss"]
    assert buffer.statistics("mean") == 1.5 and buffer.current() == 2.5


def test_files_in_the_format_of_old_releases_and_of_timm_are_read(content, tmp_path):
    (tmp_path / "old.pth").write_bytes(stored(content, _use_new_zipfile_serialization=False))
    assert same(read_checkpoint(tmp_path / "old.pth"), content)
    torch.save(dict(args=argparse.Namespace(lr=0.1), state_dict=OrderedDict(a=torch.ones(1))), tmp_path / "timm.pth")
    assert read_checkpoint(tmp_path / "timm.pth")["args"].lr == 0.1


def damage(data, draw):
    """A file that a disk, a network or a hand has changed."""
    changed = bytearray(data)
    kind = draw.choice(["cut", "flip", "flips", "overwritten", "missing", "zeros"])
    start = draw.randrange(len(data))
    end = min(len(data), start + draw.randrange(1, 400))
    if kind == "cut":
        del changed[start:]
    elif kind == "flip":
        changed[start] ^= 1 << draw.randrange(8)
    elif kind == "flips":
        for _ in range(draw.randrange(2, 60)):
            changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif kind == "overwritten":
        changed[start:end] = draw.randbytes(end - start)
    elif kind == "missing":
        del changed[start:end]
    else:
        changed[start:end] = bytes(end - start)
    return bytes(changed)


def test_a_damaged_file_ends_in_one_kind_of_error_or_holds_what_it_held(content, tmp_path):
    data, path = stored(content), tmp_path / "epoch_1.pth"
    draw = random.Random(0)
    refused = 0
    for _ in range(DAMAGED):
        path.write_bytes(damage(data, draw))
        try:
            assert same(read_checkpoint(path), content)
        except CheckpointError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > 0.9 * DAMAGED


def test_a_damaged_file_of_the_old_format_ends_in_no_other_error(content, tmp_path):
    """It has no checksums, so a number may have changed unseen."""
    data, path = stored(content, _use_new_zipfile_serialization=False), tmp_path / "old.pth"
    draw = random.Random(1)
    refused = 0
    for _ in range(DAMAGED):
        path.write_bytes(damage(data, draw))
        try:
            read_checkpoint(path)
        except CheckpointError:
            refused += 1
    assert refused > 0.3 * DAMAGED


def test_a_bit_of_a_weight_that_changed_is_noticed(tmp_path):
    """torch's own reader gives the changed number."""
    path = tmp_path / "weights.pth"
    torch.save(dict(weight=torch.full((64,), 1.5)), path)
    data = bytearray(path.read_bytes())
    data[data.index(np.full(64, 1.5, np.float32).tobytes()) + 2] ^= 1
    path.write_bytes(data)
    assert not torch.equal(torch.load(path, weights_only=True)["weight"], torch.full((64,), 1.5))
    with pytest.raises(CheckpointError, match="the checksum of its part .*data/0' is wrong"):
        read_checkpoint(path)


def zipped(*names, start="archive/"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(f"{start}{name}", b"content")
    return buffer.getvalue()


def tarred(*names):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


def scripted():
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Linear(1, 1), torch.ones(1)), buffer)
    return buffer.getvalue()


def safetensors():
    header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    return len(header).to_bytes(8, "little") + header + np.ones(2, np.float32).tobytes()


WHOLE = stored(dict(weight=torch.ones(3)))
OTHERS = {
    "an empty file": (b"", "empty"),
    "text": (b"no checkpoint\n", "not a file of torch.save or safetensors"),
    "zip cut short": (WHOLE[: len(WHOLE) // 2], "cut short: its end is missing"),
    "start of a zip": (b"PK", "cut short: its end is missing"),
    "safetensors cut short": (safetensors()[:-1], "damaged or incomplete (SafetensorError)"),
    "head of safetensors": (safetensors()[:12], "damaged or incomplete (SafetensorError)"),
    "raw pickle": (pickle.dumps({"a": 1}), "a raw pickle"),
    "raw pickle with code": (pickle.dumps({"a": os.system}), "a raw pickle"),
    "TorchScript": (scripted(), "a TorchScript archive"),
    "another zip": (zipped("word/document.xml", start=""), "a zip archive that torch.save did not write"),
    "tar": (tarred("model.pth"), "a tar archive"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "a Git LFS pointer"),
    "HTML": (b"\n<!DOCTYPE html><html><title>Sign in</title>", "a web page"),
    "an error of a store": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "a web page"),
    "gzip": (gzip.compress(WHOLE), "not a file of torch.save or safetensors"),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_another_format_is_named_as_what_it_is(tmp_path, name, suffix):
    data, what = OTHERS[name]
    if "safetensors" in name:
        pytest.importorskip("safetensors")
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"checkpoint {path} cannot be read: it is {what}") and "; " in message
    assert "\n" not in message and "weights_only" not in message


def test_the_content_decides_between_torch_and_safetensors(tmp_path):
    pytest.importorskip("safetensors")
    (tmp_path / "a.pth").write_bytes(safetensors())
    assert torch.equal(read_checkpoint(tmp_path / "a.pth")["a"], torch.ones(2))
    (tmp_path / "b.safetensors").write_bytes(WHOLE)
    assert torch.equal(read_checkpoint(tmp_path / "b.safetensors")["weight"], torch.ones(3))


class Runs:
    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize(
    "extra, culprit", [(Runs(), "os.system"), (nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
                       (Path("a"), "pathlib")]
)  # fmt: skip
def test_the_culprit_is_named_in_our_sentence_alone(tmp_path, monkeypatch, extra, culprit, new_format):
    monkeypatch.chdir(tmp_path)
    content = dict(state_dict=OrderedDict(a=torch.ones(1)), extra=extra, args=argparse.Namespace(), seen=np.int64(3))
    Path("a.pth").write_bytes(stored(content, _use_new_zipfile_serialization=new_format))
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint("a.pth")
    message = str(caught.value)
    assert re.fullmatch(
        r"checkpoint a.pth is refused: it holds more than weights and plain values \(.*\); save only its state_dict "
        "with torch.save and give that file", message,
    )  # fmt: skip
    assert message.partition("(")[2].startswith(culprit)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__ and not Path("ran").exists()


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("extra", [1, Runs()])
def test_another_pickle_protocol_is_named(tmp_path, monkeypatch, extra, new_format):
    """torch checks none of these, not even plain weights."""
    monkeypatch.chdir(tmp_path)
    content = dict(state_dict=OrderedDict(a=torch.ones(1)), extra=extra)
    Path("a.pth").write_bytes(stored(content, pickle_protocol=4, _use_new_zipfile_serialization=new_format))
    with pytest.raises(CheckpointError, match="a.pth is refused: it should be saved with pickle protocol 2, got 4, "):
        read_checkpoint("a.pth")
    assert not Path("ran").exists()


def test_a_folder_or_a_missing_file_is_named(tmp_path):
    for path, what in ((tmp_path, "is a folder"), (tmp_path / "none.pth", "does not exist")):
        with pytest.raises(FileNotFoundError, match=f"{what}; give a file that torch.save wrote"):
            read_checkpoint(path)
