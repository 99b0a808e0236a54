"""Mistakes of users in every command: one sentence, exit status 2, no traceback, and nothing written."""

import json
import logging
import os

import pytest
import torch

pytest.importorskip("mmpretrain")

from PIL import Image

from smix_mm.cli import run
from smix_mm.utils.files import atomic_path

CONFIG = """
custom_imports = dict(imports=["smix_mm"], allow_failed_imports=False)
default_scope = "mmpretrain"
model = dict(
    type="ImageClassifier",
    backbone=dict(type="ResNet", depth=18, base_channels=8, stem_channels=8),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(type="LinearClsHead", num_classes=2, in_channels=64),
)
data_preprocessor = dict(mean=[0, 0, 0], std=[255, 255, 255], to_rgb=True, num_classes=2)
pipeline = [dict(type="LoadImageFromFile"), dict(type="PackInputs")]
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(type="CustomDataset", data_root="data", data_prefix="", pipeline=pipeline),
)
test_dataloader = val_dataloader = train_dataloader
test_evaluator = val_evaluator = dict(type="Accuracy", topk=(1,))
train_cfg = dict(by_epoch=True, max_epochs=1)
val_cfg, test_cfg = dict(), dict()
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.1))
"""
# A file name, and what to change in CONFIG or its whole text.
CONFIGS = {
    "good.py": ("", ""),
    "empty.py": "",
    "text.txt": "hello",
    "list.json": "[1, 2]",
    "bad.json": "{",
    "syntax.py": "x = (1",
    "name.py": "x = unknown",
    "no_base.py": "_base_ = 'none.py'",
    "over_none.py": "_base_ = 'none_inside.py'\nmodel = dict(backbone=dict(init_cfg=dict(checkpoint='x.pth')))",
    "none_inside.py": ("depth=18", "depth=18, init_cfg=None"),
    "prefix.py": ("depth=18", "depth=18, init_cfg=dict(type='Pretrained', checkpoint='other.pth', prefix='x')"),
    "no_package.py": ('["smix_mm"]', '["package_that_is_missing"]'),
    "unknown_type.py": ("ResNet", "ResNetty"),
    "unknown_argument.py": ("depth=18", "deepness=18, depth=18"),
    "bad_argument.py": (
        "num_classes=2)",
        "num_classes=2, batch_augments=dict(augments=MIX))".replace(
            "MIX", "dict(type='SaliencyMix', mean=[0, 0, 0], std=[255, 255, 255], alpha=-1)"
        ),
    ),
    "unknown_hook.py": ("val_cfg, ", "custom_hooks = [dict(type='NoHook')]\nval_cfg, "),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Small images, configs and checkpoints with mistakes."""
    folder = tmp_path_factory.mktemp("mistakes")
    for name, text in CONFIGS.items():
        (folder / name).write_text(CONFIG.replace(*text) if isinstance(text, tuple) else text)
    for label in "ab":
        (folder / "data" / label).mkdir(parents=True)
        Image.new("RGB", (16, 16), (40, 80, 120)).save(folder / "data" / label / "1.png")
    (folder / "folder.py").mkdir()
    (folder / "file").write_text("x")
    (folder / "empty.pth").write_bytes(b"")
    (folder / "text.pth").write_text("hello")
    torch.save([1, 2], folder / "list.pth")
    torch.save(dict(state_dict=dict(a=torch.zeros(2))), folder / "other.pth")
    return folder


@pytest.fixture
def mistake(folder, monkeypatch, capsys):
    """Run a command in the folder; gives the sentence, after checking status, form and files."""

    def start(command: str, *arguments: str) -> str:
        before = sorted(map(str, folder.rglob("*")))
        try:
            status = run(command, list(arguments))
        except SystemExit as ended:  # argparse's own
            status = ended.code
        printed = capsys.readouterr()
        sentence = printed.err.strip().splitlines()
        assert status == 2 and "Traceback" not in printed.err, printed.err[-2000:]
        said = [line for line in sentence if line.startswith(f"{command}.py: ")]
        assert len(said) == 1 and "weights_only" not in printed.err, printed.err[-2000:]
        written = [name for name in sorted(map(str, folder.rglob("*"))) if name not in before]
        assert all("work" in name for name in written), written
        return printed.err[printed.err.index(said[0]) :]

    for name in ("LOCAL_RANK", "RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(folder)
    # mmengine's loggers keep the streams of earlier tests, which are closed.
    monkeypatch.setattr(logging, "raiseExceptions", False)
    yield start
    os.environ.pop("LOCAL_RANK", None)


WORK = ("--work-dir", "work")
BROKEN = [
    ("none.py", "config none.py does not exist"),
    ("folder.py", "config folder.py "),
    ("list.json", "config list.json cannot be read"),
    ("text.txt", "config text.txt cannot be read: OSError: Only py/yml/yaml/json"),
    ("syntax.py", "config syntax.py cannot be read: SyntaxError"),
    ("no_base.py", "config no_base.py cannot be read: FileNotFoundError"),
]
READERS = {
    "train": lambda config: [config, *WORK],
    "test": lambda config: [config, "other.pth", *WORK],
    "test_robustness": lambda config: [config, "other.pth", *WORK],
    "check_data": lambda config: [config],
    "browse_mix": lambda config: [config, "--out", "sheet.png"],
    "compare_cam": lambda config: [config, "other.pth", "--images", "data/a/1.png"],
}


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize("config, sentence", BROKEN)
def test_a_config_that_cannot_be_read(mistake, command, config, sentence):
    assert sentence in mistake(command, *READERS[command](config))


@pytest.mark.parametrize("command", ["measure_area", "study", "benchmark_training"])
@pytest.mark.parametrize("config", ["none.py", "folder.py", "syntax.py", "text.txt"])
def test_a_study_or_a_benchmark_of_no_config(mistake, command, config):
    arguments = dict(measure_area=[config], study=["run", config, *WORK], benchmark_training=[config])[command]
    assert config in mistake(command, *arguments)


@pytest.mark.parametrize(
    "config, sentence",
    [
        ("empty.py", "config empty.py should have a model"),
        ("bad.json", "config bad.json cannot be read: JSONDecodeError"),
        ("name.py", "NameError: name 'unknown' is not defined (mistakes0/name.py, line 1)"),
        ("over_none.py", "cannot inherit from base"),
        ("over_none.py", "; add _delete_=True to the new dict, which replaces that of the base"),
        ("no_package.py", "Failed to import custom modules from {'imports': ['package_that_is_missing']"),
        ("unknown_type.py", "the config cannot be used: KeyError: ResNetty is not in the mmpretrain::model registry"),
        ("unknown_argument.py", "got an unexpected keyword argument 'deepness'"),
        ("bad_argument.py", "alpha should be a positive number, got -1"),
        ("unknown_hook.py", "NoHook is not in the mmpretrain::hook registry"),
    ],
)
def test_a_training_whose_config_cannot_be_used(mistake, folder, config, sentence):
    assert sentence in mistake("train", config, "--work-dir", f"work_{config}").replace("mistakes1", "mistakes0")
    # A Runner refuses the others, and it begins by making its work dir.
    assert config != "bad_argument.py" or not (folder / f"work_{config}").exists()


@pytest.mark.parametrize(
    "option, sentence",
    [
        ("nonsense", "should be KEY=VALUE, got 'nonsense'"),
        ("=3", "should be KEY=VALUE, got '=3'"),
        (
            "optim_wraper.optimizer.lr=1",
            "has no setting optim_wraper, which the option optim_wraper.optimizer.lr changes",
        ),
        ("optim_wraper.optimizer.lr=1", "did you mean optim_wrapper?"),
        ("model=3", "model in config good.py should be a dict, got 3"),
        ("model.backbone=ResNet", "the config cannot be used: TypeError"),
        ("train_cfg=1", "train_cfg in config good.py should be a dict, got 1"),
        ("auto_scale_lr=3", "auto_scale_lr in config good.py should be a dict, got 3"),
        ("train_dataloader.batch_size=x", "batch_size should be a positive integer value"),
        ("train_dataloader.num_workers=-1", "num_workers option should be non-negative"),
        ("train_dataloader.dataset.pipeline.7.x=1", "Index 7 exceeds the length of list"),
        (
            "train_dataloader.dataset.data_root=/none",
            "/none/ does not exist, but the config names it; prepare the data",
        ),
        ("train_dataloader.dataset.pipeline=3", "the config cannot be used: TypeError"),
        ("optim_wrapper.optimizer.lr=fast", "the config cannot be used: TypeError"),
        ("optim_wrapper.optimizer.type=SDG", "the config cannot be used: TypeError"),
        ("train_cfg.max_epochs=two", "invalid literal for int() with base 10: 'two'"),
        ("randomness.seed=x", "the config cannot be used: TypeError"),
        ("custom_hooks=3", "the config cannot be used: TypeError"),
        (
            "val_evaluator=None",
            "val_evaluator: is None or missing, but the config has val_dataloader and val_cfg; give",
        ),
        ("model.head.num_classes=7", "model.head.num_classes: is 7, but train_dataloader.dataset has 2 classes"),
        ("data_preprocessor.mean=3", "data_preprocessor.mean: is 3; give one number or three"),
        ("load_from=none.pth", "load_from: is none.pth, which does not exist"),
        ("load_from=text.pth", "load_from: checkpoint text.pth cannot be read"),
        ("load_from=other.pth", "other.pth should hold the model's 62 parameters, but 62 are missing"),
    ],
)
def test_settings_that_cannot_be_used(mistake, option, sentence):
    assert sentence in mistake("train", "good.py", *WORK, "--cfg-options", option)


def test_a_dict_over_none_is_taken_with_delete(mistake):
    fix = "; add the option model.backbone.init_cfg._delete_=True, and all other keys of the new dict, such as"
    assert fix in mistake(
        "train", "none_inside.py", *WORK, "--cfg-options", "model.backbone.init_cfg.checkpoint=none.pth"
    )
    options = [
        f"model.backbone.init_cfg.{each}" for each in ("_delete_=True", "type=Pretrained", "checkpoint=none.pth")
    ]
    assert "init_cfg.checkpoint: is none.pth" in mistake("train", "none_inside.py", *WORK, "--cfg-options", *options)


@pytest.mark.parametrize(
    "file, sentence",
    [
        ("none.pth", "none.pth does not exist"),
        ("data", "data does not exist"),
        ("empty.pth", "empty.pth"),
        ("text.pth", "text.pth"),
        ("list.pth", "should hold a dict of weights, got a list"),
        ("other.pth", "other.pth"),
    ],
)
@pytest.mark.parametrize(
    "command", ["train", "test", "test_robustness", "compare_cam", "publish_backbone", "replay_batch"]
)
def test_a_file_that_is_no_checkpoint_of_this_model(mistake, command, file, sentence):
    arguments = dict(
        train=["good.py", *WORK, "--resume", file],
        test=["good.py", file, *WORK],
        test_robustness=["good.py", file, *WORK],
        compare_cam=["good.py", file, "--images", "data/a/1.png"],
        publish_backbone=[file, "work.pth"],
        replay_batch=[file],
    )
    printed = mistake(command, *arguments[command])
    assert sentence in printed or (sentence.endswith("does not exist") and file in printed)


@pytest.mark.parametrize(
    "command, arguments, sentence",
    [
        ("train", ["good.py", "--work-dir", "file"], "file: File exists"),
        ("train", ["good.py", "--work-dir", "file/work"], "file/work: Not a directory"),
        ("train", ["good.py", *WORK, "--config-schedule"], "give --resume too"),
        ("train", ["good.py", *WORK, "--auto-scale-lr"], "--auto-scale-lr needs auto_scale_lr=dict("),
        ("train", ["good.py", *WORK, "--launcher", "pytorch"], "RANK should be set; start the processes by torchrun"),
        ("train", ["good.py", *WORK, "--launcher", "slurm"], "SLURM_PROCID should be set"),
        ("test", ["good.py", "other.pth", "--out", "work.txt"], "out should end in .pkl, got work.txt"),
        (
            "train",
            ["good.py", *WORK, "--auto-scale-lr", "--cfg-options", "auto_scale_lr=None"],
            "--auto-scale-lr needs auto_scale_lr=dict(",
        ),
        ("check_data", ["good.py", "--jobs", "0"], "--jobs should be at least 1, got 0"),
        ("check_data", ["good.py", "--show", "-1"], "--show should be at least 0, got -1"),
        ("check_data", ["good.py", "--cfg-options", "train_dataloader.dataset=3"], "dataset in config good.py"),
        ("test_robustness", ["good.py", "other.pth", "--severities", "7"], "invalid choice: 7"),
        ("test_robustness", ["good.py", "other.pth", "--corruptions", "rain"], "invalid choice: 'rain'"),
        ("test_robustness", ["good.py", "other.pth", "--eps", "8/255", "16/510"], "eps should be different strengths"),
        ("test_robustness", ["good.py", "other.pth", "--out", "file"], "out should be a folder, got the file file"),
        ("check_data", ["good.py", "--json", "file/x.json"], "file: File exists"),
        ("check_data", ["good.py", "--ignore", "nothing"], "ignore should be kinds of errors"),
        ("browse_mix", ["good.py", "--out", "folder.py"], "folder.py"),
        ("browse_mix", ["good.py", "--number", "0", "--out", "work.png"], "0"),
        ("compare_cam", ["good.py", "other.pth", "--images", "none.png"], "none.png does not exist"),
        ("compare_detections", ["good.py", "file"], "each file should be given as NAME=detections.npz, got file"),
        ("compare_detections", ["good.py", "a=none.npz", "a=2.npz"], "should have different names, got a twice"),
        ("compare_cam", ["good.py", "x/1.pth", "y/1.pth", "--images", "data/a/1.png"], "names, got 1 twice; give"),
        ("compare_detections", ["good.py", "a=none.npz"], "none.npz does not exist"),
        ("show_released_code_map", ["none.png"], "none.png does not exist"),
        ("show_released_code_map", ["file"], "file"),
        ("show_released_code_map", ["data/a/1.png", "--size", "0"], "0"),
        ("list_experiments", ["--results", "none"], "--results should be a folder, got none"),
        ("prepare_data", ["cifar10", "--root", "work", "--from", "none.tgz"], "none.tgz does not exist"),
        ("benchmark_saliency", ["--sizes", "8", "--batches", "0"], "--batches should be at least 1, got 0"),
        ("benchmark_saliency", ["--sizes", "8", "--threads", "0"], "--threads should be at least 1, got 0"),
        ("benchmark_saliency", ["--sizes", "wide"], "should be SIDE or HEIGHTxWIDTH, got 'wide'"),
        ("benchmark_training", ["--device", "nodevice"], "device should be one of torch's"),
        ("gpu_check", ["--only", "x"], "--only should be of"),
        ("study", ["status", "none.py", "--work-dir", "none"], "none.py does not exist"),
        ("study", ["report", "--work-dir", "none"], "none"),
        ("prove", ["none_inside.py", "other.pth"], "other.pth should hold the backbone's tensors under names such as"),
        ("prove", ["prefix.py"], "should hold the backbone's tensors under names such as x.conv1.weight, got names"),
        ("measure_area", ["good.py"], "its settings should be of"),
    ],
)
def test_options_that_cannot_be_followed(mistake, command, arguments, sentence):
    assert sentence in mistake(command, *arguments)


def test_settings_that_contradict_the_data_are_errors_of_check_data_too(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    good = ["good.py", "--ignore", "in-train-and-test"]
    assert run("check_data", good) == 0 and "contradiction" not in capsys.readouterr().out
    wrong = ["--json", "work.json", "--cfg-options", "model.head.num_classes=7"]
    assert run("check_data", [*good, *wrong]) == 1
    found = "model.head.num_classes: is 7, but train_dataloader.dataset has 2 classes; set model.head.num_classes=2"
    assert f"contradiction: {found}" in capsys.readouterr().out
    (setting,) = json.loads((folder / "work.json").read_text())["settings"]
    assert setting["setting"] == "model.head.num_classes" and setting["level"] == "contradiction"
    assert run("check_data", [*good, "settings", *wrong]) == 0


def test_a_folder_is_never_replaced_by_a_file(tmp_path):
    with pytest.raises(IsADirectoryError), atomic_path(tmp_path):
        pass
    assert list(tmp_path.parent.glob(f".{tmp_path.name}-*")) == []


def test_the_traceback_is_printed_on_request(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SMIX_TRACEBACK", "1")
    assert run("train", ["unknown_type.py", *WORK]) == 2
    assert "Traceback (most recent call last)" in capsys.readouterr().err
