"""Whatever mmengine loads in our tools is read without unpickling, and downloads are what their name says."""

import hashlib
import os
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader, Runner
from mmengine.runner import checkpoint as mmengines
from torch import nn

from smix_mm.engine import safe_loading
from smix_mm.engine.launch import build_runner
from smix_mm.engine.safe_loading import download, load_safely
from smix_mm.utils.errors import CheckpointError

REFUSED = "is refused: it holds more than weights and plain values"


class Shell:
    """Pickled, it is a call of a function with arguments."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.fixture(autouse=True)
def loaders():
    """mmengine's own loaders are there again after the test."""
    before = dict(CheckpointLoader._schemes)
    load_safely()
    yield
    CheckpointLoader._schemes = before


@pytest.fixture
def flag(tmp_path):
    """A file that hostile code would make."""
    return tmp_path / "executed"


def attacks(flag):
    text = f"open({str(flag)!r}, 'w')"
    return [
        Shell(os.system, f"touch {flag}"),
        Shell(eval, text),
        Shell(exec, text),
        Shell(getattr, HistoryBuffer, "register_statistics"),
        Shell(subprocess.Popen, ["touch", str(flag)]),
        Shell(__import__, "antigravity"),
        Shell(torch.hub.download_url_to_file, "http://127.0.0.1:9/", str(flag)),
        Shell(torch.load, str(flag)),
    ]


class Backbone(BaseModule):
    def __init__(self, init_cfg):
        super().__init__(init_cfg)
        self.layer = nn.Linear(1, 1)


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("prefix", [None, "backbone."])
def test_hostile_weights_are_refused_where_init_cfg_names_them(tmp_path, flag, number, prefix):
    content = dict(state_dict={"backbone.layer.weight": torch.ones(1, 1), "layer.bias": attacks(flag)[number]})
    torch.save(content, tmp_path / "hostile.pth")
    init_cfg = dict(type="Pretrained", checkpoint=str(tmp_path / "hostile.pth"))
    if prefix:
        init_cfg["prefix"] = prefix
    with pytest.raises(CheckpointError, match=REFUSED):
        Backbone(init_cfg).init_weights()
    assert not flag.exists()


def test_good_weights_load_as_before(tmp_path):
    content = dict(state_dict={"backbone.layer.weight": torch.full((1, 1), 3.0), "backbone.layer.bias": torch.ones(1)})
    torch.save(content, tmp_path / "good.pth")
    made = Backbone(dict(type="Pretrained", checkpoint=str(tmp_path / "good.pth"), prefix="backbone."))
    made.init_weights()
    assert made.layer.weight.item() == 3.0


def test_without_our_loaders_mmengine_does_run_it(tmp_path, flag):
    """Else the tests above would show nothing."""
    torch.save(dict(state_dict={}, a=Shell(os.system, f"touch {flag}")), tmp_path / "hostile.pth")
    mmengines.load_from_local(str(tmp_path / "hostile.pth"), "cpu")
    assert flag.exists()


def test_the_config_text_in_a_checkpoint_is_not_executed(tmp_path, flag):
    code = f"open({str(flag)!r}, 'w')\n"
    meta = dict(epoch=1, iter=2, seed=0, config=code, cfg=code)
    torch.save(dict(meta=meta, state_dict={}, message_hub={}), tmp_path / "hostile.pth")
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / "hostile.pth"))
    assert "config" not in loaded["meta"] and loaded["meta"]["iter"] == 2
    assert "'config' in checkpoint['meta']" in Path(sys.modules[Runner.__module__].__file__).read_text()
    assert not flag.exists()


def test_what_is_no_dict_is_refused(tmp_path):
    torch.save(torch.ones(3), tmp_path / "tensor.pth")
    with pytest.raises(CheckpointError, match="should hold a dict of weights, got a Tensor"):
        CheckpointLoader.load_checkpoint(str(tmp_path / "tensor.pth"))


TOY = """
import torch
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS

@MODELS.register_module(force=True)
class Toy(BaseModel):
    def __init__(self, init_cfg=None):
        super().__init__(init_cfg=init_cfg)
        self.layer = torch.nn.Linear(1, 1)
    def forward(self, inputs, mode="tensor"):
        out = self.layer(inputs)
        return dict(loss=out.sum()) if mode == "loss" else out

@DATASETS.register_module(force=True)
class Ones(torch.utils.data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, index):
        return dict(inputs=torch.ones(1))
"""
CONFIG = """
custom_imports = dict(imports=["smix_mm", "toy"])
model = dict(type="Toy")
loader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="Ones"),
    collate_fn=dict(type="default_collate"),
)
train_dataloader = test_dataloader = loader
train_cfg = dict(by_epoch=True, max_epochs=2)
test_cfg = dict()
test_evaluator = dict(type="DumpResults", out_file_path="{folder}/out.pkl")
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.1))
"""


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A config that trains and tests in no time."""
    folder = tmp_path_factory.mktemp("toy")
    (folder / "toy.py").write_text(TOY)
    (folder / "config.py").write_text(CONFIG.format(folder=folder))
    return folder


WAYS = {
    "train --resume PATH": ("train", ["--resume", "{file}"]),
    "train --resume": ("train", ["--resume"]),
    "load_from": ("train", ["--cfg-options", "load_from={file}"]),
    "init_cfg": ("train", ["--cfg-options", "model.init_cfg.type=Pretrained", "model.init_cfg.checkpoint={file}"]),
    "test": ("test", ["{file}"]),
}


@pytest.mark.parametrize("way", WAYS)
def test_our_tools_refuse_a_hostile_file_in_one_sentence(forked_train, toy, tmp_path, flag, way):
    program, arguments = WAYS[way]
    file = tmp_path / "run" / "epoch_1.pth"
    file.parent.mkdir()
    content = dict(meta=dict(epoch=1, iter=2), state_dict={}, message_hub={}, x=Shell(os.system, f"touch {flag}"))
    torch.save(content, file)
    run = forked_train(
        toy / "config.py", file.parent, *(word.format(file=file) for word in arguments), packages=(), program=program,
        PYTHONPATH=toy,
    )  # fmt: skip
    assert not flag.exists() and REFUSED in run.output
    if way == "train --resume":
        assert run.status == 0 and "starts as configured" in run.output
    else:
        assert run.status == 2 and "Traceback" not in run.output
        assert f"checkpoint {file} {REFUSED}" in run.output and "weights_only" not in run.output


def test_a_resume_does_not_execute_the_text_that_mmengine_would(forked_train, toy, tmp_path, flag):
    run = forked_train(toy / "config.py", tmp_path, packages=(), PYTHONPATH=toy)
    assert run.status == 0, run.output[-3000:]
    content = run.checkpoint()
    content["meta"].update(config=f"open({str(flag)!r}, 'w')\n", epoch=1, iter=2)
    torch.save(content, tmp_path / "hostile.pth")
    run = forked_train(toy / "config.py", tmp_path, "--resume", tmp_path / "hostile.pth", packages=(), PYTHONPATH=toy)
    assert run.status == 0 and "resumed epoch: 1, iter: 2" in run.output and not flag.exists()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder that is served on this machine, and a cache that is empty."""
    (tmp_path / "served").mkdir()
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *arguments: None)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield tmp_path / "served", f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


def serve(folder, content, named=None):
    """Put a checkpoint there under a name with the hash of its content, or another one."""
    torch.save(content, folder / "new.pth")
    digest = hashlib.sha256((folder / "new.pth").read_bytes()).hexdigest()
    name = f"weights-{named or digest[:8]}.pth"
    (folder / "new.pth").rename(folder / name)
    return name


def test_a_download_is_compared_with_its_name_at_every_use(server, tmp_path):
    folder, address = server
    name = serve(folder, dict(state_dict={"a": torch.ones(2)}))
    loaded = CheckpointLoader.load_checkpoint(f"{address}/{name}")
    assert torch.equal(loaded["state_dict"]["a"], torch.ones(2))
    (folder / name).unlink()
    cached = download(f"{address}/{name}")
    assert cached == tmp_path / "cache" / "checkpoints" / name
    cached.write_bytes(cached.read_bytes() + b" ")
    with pytest.raises(CheckpointError, match=r"should begin with [0-9a-f]{8}, as in its name, got [0-9a-f]{8};"):
        CheckpointLoader.load_checkpoint(f"{address}/{name}")


def test_another_content_than_the_name_says_is_not_kept(server, tmp_path):
    folder, address = server
    name = serve(folder, dict(state_dict={}), named="0123abcd")
    with pytest.raises(CheckpointError, match=f"the SHA-256 of {address}/{name} should begin with"):
        CheckpointLoader.load_checkpoint(f"{address}/{name}")
    assert list((tmp_path / "cache" / "checkpoints").iterdir()) == []


def test_a_hostile_download_is_refused_though_its_hash_is_right(server, flag):
    folder, address = server
    name = serve(folder, dict(state_dict={}, a=Shell(os.system, f"touch {flag}")))
    with pytest.raises(CheckpointError, match=REFUSED):
        CheckpointLoader.load_checkpoint(f"{address}/{name}")
    assert not flag.exists()


@pytest.mark.parametrize("name", ["weights.pth", "weights-1.pth", "weights-0123abc.pth", "weights_0123abcd"])
def test_an_address_without_a_hash_is_refused(name):
    with pytest.raises(CheckpointError, match="should contain a hash, as in NAME-0123abcd.pth, to check"):
        CheckpointLoader.load_checkpoint(f"https://127.0.0.1/{name}")


def test_an_address_that_nobody_answers_at_is_named(server):
    _, address = server
    with pytest.raises(CheckpointError, match="cannot be downloaded: .*404.*; check the network"):
        CheckpointLoader.load_checkpoint(f"{address}/weights-0123abcd.pth")


def test_names_of_torchvision_and_openmmlab_lead_to_checked_downloads(server, monkeypatch):
    folder, address = server
    weights = {"backbone.a": torch.ones(2), "head.b": torch.zeros(1)}
    url = f"{address}/{serve(folder, dict(state_dict=weights))}"
    for source in ("torchvision", "external", "mmcls"):
        monkeypatch.setattr(safe_loading, f"get_{source}_models", lambda: {"net": url, "old": "old.pth"})
    for prefix in ("torchvision", "modelzoo", "open-mmlab", "openmmlab"):
        assert set(CheckpointLoader.load_checkpoint(f"{prefix}://net")["state_dict"]) == set(weights)
    assert set(CheckpointLoader.load_checkpoint("mmcls://net")["state_dict"]) == {"a"}
    for name in ("torchvision://other", "open-mmlab://old"):
        with pytest.raises(CheckpointError, match=f"{name} has no address; there are 2 names, such as net"):
            CheckpointLoader.load_checkpoint(name)


@pytest.mark.parametrize("address", ["s3://bucket/a.pth", "petrel://a.pth", "open-mmlab:s3://a.pth", "pavi://a.pth"])
def test_places_that_cannot_be_checked_are_refused(address):
    with pytest.raises(CheckpointError, match="is an address that cannot be read safely; download the file"):
        CheckpointLoader.load_checkpoint(address)


def test_every_way_of_mmengine_is_taken_and_a_projects_own_stays():
    def load_from_project(filename, map_location=None):
        return {}

    CheckpointLoader.register_scheme("project://", load_from_project)
    load_safely()
    others = {name: loader for name, loader in CheckpointLoader._schemes.items() if name != "project://"}
    assert all(loader.__module__ == safe_loading.__name__ for loader in others.values())
    assert CheckpointLoader._schemes["project://"] is load_from_project


def test_the_loaders_come_with_the_runner():
    CheckpointLoader._schemes = {}
    with pytest.raises(KeyError, match="model"):
        build_runner({})
    assert CheckpointLoader._schemes[""] is safe_loading.load_from_local
