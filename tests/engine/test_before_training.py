"""What a training checks before its first iteration, and what it reports then, in real processes."""

import re
import shlex
from pathlib import Path

import pytest

CONFIG = Path(__file__).with_name("breaking_config.py")


@pytest.fixture
def train(forked_train, few_cifar10, tmp_path):
    def start(*arguments, config=CONFIG, **options):
        settings = {"train_dataloader.dataset.data_root": few_cifar10, **options}
        options = [f"{name}={value}" for name, value in settings.items()]
        return forked_train(config, tmp_path / "work", *arguments, "--cfg-options", *options)

    return start


def last_lines(output):
    return output[output.index("train.py: ") :].splitlines()


def test_contradictions_stop_a_training_before_anything_is_written(train, tmp_path):
    finished = train(
        **{"model.head.num_classes": 7, "data_preprocessor.num_classes": 7}
    )  # the head is the config's own
    first, *findings, total = last_lines(finished.output)
    assert finished.status == 2 and "nothing was started" in first and "--no-preflight" in first
    assert findings == [
        "contradiction: data_preprocessor.num_classes: is 7, but train_dataloader.dataset has 10 classes; set "
        "data_preprocessor.num_classes=10"
    ]
    assert total == "preflight: 1 contradiction, 0 doubts"
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["output.txt"]


def test_an_option_starts_it_all_the_same_and_doubts_are_warnings(train, tmp_path):
    config = tmp_path / "twice.py"
    config.write_text(f"""
_base_ = "{CONFIG}"
data_preprocessor = dict(batch_augments=None)
model = dict(data_preprocessor=dict(num_classes=10, mean=[0, 0, 0], std=[1, 1, 1]))
pipeline = [dict(type=name) for name in ("LoadImageFromFile", "Break")]
pipeline += [dict(type="Normalize", mean=[125.3, 123.0, 113.9], std=[63.0, 62.1, 66.7]), dict(type="PackInputs")]
train_dataloader = dict(dataset=dict(pipeline=pipeline))
train_cfg = dict(max_epochs=1)
""")
    refused = train(config=config)
    assert refused.status == 2 and "train_dataloader.dataset.pipeline: has Normalize" in refused.output
    assert train("--no-preflight", config=config).status == 0
    lines = config.read_text().splitlines(keepends=True)
    config.write_text("".join(lines).replace(lines[5], "pipeline += [dict(type='PackInputs')]\n"))
    finished = train(config=config)
    assert finished.status == 0
    assert "Preflight: data_preprocessor: differs from model.data_preprocessor in " in finished.output


@pytest.mark.parametrize("what", ["weights", "fast"])
def test_the_advice_after_spoilt_weights_followed_to_the_letter_goes_on(train, what):
    stopped = train(**{"custom_hooks.0.at": 4, "custom_hooks.0.what": what})
    assert stopped.status == 1
    (advice,) = set(re.findall(r"(--resume \S+ --config-schedule --cfg-options \S+);", stopped.output))
    finished = train(*shlex.split(advice)[:-2], **dict([shlex.split(advice)[-1].split("=")]))
    assert finished.status == 0, finished.output[-2000:]
    assert "learning rate, schedules and optimizer settings are the config's" in finished.output
    rates = re.findall(r"Epoch\(train\) \[2\]\[4/4\]  lr: (\S+)", finished.output)
    assert [float(rate) for rate in rates] == [0.005] and "Preflight" not in finished.output


def test_what_a_resume_takes_from_its_checkpoint_is_in_the_log_setting_by_setting(train):
    assert train(**{"train_cfg.max_epochs": 1}).status == 0
    resumed = train("--resume", **{"optim_wrapper.optimizer.lr": 0.001, "param_scheduler.end": 3})
    file = resumed.work_dir / "iter_4.pth"
    warnings = re.findall(r"WARNING - .*?Preflight: (.*)", resumed.output)
    assert warnings == [
        f"optim_wrapper.optimizer.lr: is 0.001 in the config, but {file} resumes with 0.05; add --config-schedule for "
        "the config's value, or set it back.",
        f"param_scheduler.0.end: is 3 in the config, but {file} resumes with 6; add --config-schedule for the config's "
        "value, or set it back.",
    ]
