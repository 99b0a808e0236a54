"""Runs of ``tools/train.py`` that are killed with SIGKILL and resumed end as if nothing had been."""

import os
import shutil
import signal

import pytest
import torch

KILLED = -signal.SIGKILL


def at(iteration, **settings):
    """Options that kill a run after an iteration; 0 for never."""
    return [f"custom_hooks.0.{name}={value}" for name, value in {"at": iteration, **settings}.items()]


def same_weights(first, second):
    assert list(first) == list(second)
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def same_run(first, second):
    """Weights, the optimiser's state, and what would be drawn next."""
    one, other = first.checkpoint(), second.checkpoint()
    assert one["meta"]["iter"] == other["meta"]["iter"]
    same_weights(one["state_dict"], other["state_dict"])
    for number, state in one["optimizer"]["state"].items():
        assert torch.equal(state["momentum_buffer"], other["optimizer"]["state"][number]["momentum_buffer"])
    (state,), (resumed,) = one["smix_resume"]["ranks"], other["smix_resume"]["ranks"]
    assert torch.equal(state["random"]["torch"], resumed["random"]["torch"])
    for name, mixer in state["random"]["generators"].items():
        assert torch.equal(mixer["state"], resumed["random"]["generators"][name]["state"])


@pytest.fixture(scope="module")
def undisturbed(forked_train, small_pretraining, tmp_path_factory):
    """Two epochs of four iterations, a checkpoint after each, two workers that live for an epoch."""
    run = forked_train(small_pretraining, tmp_path_factory.mktemp("undisturbed"))
    assert run.status == 0, run.output[-3000:]
    return run


def test_the_run_is_one_in_which_random_numbers_matter(undisturbed):
    content = undisturbed.checkpoint()
    (state,) = content["smix_resume"]["ranks"]
    assert list(state["random"]["generators"]) == ["data_preprocessor.batch_augments.0"]
    assert content["meta"]["iter"] == 8 and "ExactEpochBasedTrainLoop" in content["meta"]["cfg"]


def test_killed_within_an_epoch_at_its_end_and_within_the_next(forked_train, small_pretraining, undisturbed, tmp_path):
    for iteration, resume in ((3, []), (4, ["--resume"]), (7, ["--resume"])):
        run = forked_train(small_pretraining, tmp_path, *resume, "--cfg-options", *at(iteration))
        assert run.status == KILLED and run.checkpoint()["meta"]["iter"] == iteration
    run = forked_train(small_pretraining, tmp_path, "--resume")
    assert run.status == 0 and "Resumed exactly after iteration 7" in run.output
    assert "Epoch(train) [2][4/4]" in run.output and "[2][3/4]" not in run.output
    same_run(undisturbed, run)


def test_neither_the_number_nor_the_life_of_workers_changes_the_weights(
    forked_train, small_pretraining, undisturbed, tmp_path
):
    alone = forked_train(small_pretraining, tmp_path / "alone", "--cfg-options", "train_dataloader.num_workers=0")
    same_run(undisturbed, alone)
    lasting = ["train_dataloader.persistent_workers=True"]
    killed = forked_train(small_pretraining, tmp_path / "lasting", "--cfg-options", *lasting, *at(5))
    assert killed.status == KILLED
    run = forked_train(small_pretraining, tmp_path / "lasting", "--resume", "--cfg-options", *lasting)
    same_run(undisturbed, run)


def test_in_bfloat16_and_with_steps_that_cannot_be_captured(forked_train, small_pretraining, tmp_path):
    config = tmp_path / "bfloat16.py"
    config.write_text(f"""
_base_ = "{small_pretraining}"
optim_wrapper = dict(type="Bfloat16OptimWrapper")
custom_hooks = [dict(type="KillHook"), dict(type="CapturedStepHook")]
""")
    undisturbed = forked_train(config, tmp_path / "undisturbed")
    assert undisturbed.status == 0 and "Training steps are not captured: there is no GPU" in undisturbed.output
    assert forked_train(config, tmp_path / "killed", "--cfg-options", *at(3)).status == KILLED
    run = forked_train(config, tmp_path / "killed", "--resume")
    assert run.status == 0 and "Resumed exactly after iteration 3" in run.output
    same_run(undisturbed, run)


def test_a_kill_while_saving_leaves_the_last_good_checkpoint(forked_train, small_pretraining, undisturbed, tmp_path):
    one = ["default_hooks.checkpoint.max_keep_ckpts=1"]
    killed = forked_train(small_pretraining, tmp_path, "--cfg-options", *one, *at(6, saving=True))
    assert killed.status == KILLED
    names = [path.name for path in tmp_path.glob("*.pth") if "best" not in path.name and path.name[0] != "."]
    assert names == ["iter_5.pth"] and len(list(tmp_path.glob(".iter_6-*.pth"))) == 1
    assert (tmp_path / "last_checkpoint").read_text().endswith("iter_5.pth")
    # What a kill in the middle of other files leaves; and a file of the user's.
    left = [
        ".last_checkpoint-0abcdef_",
        ".load_proof-0abcdef_.json",
        "..started-0abcdef_",
        "nonfinite/.iter_3_rank0-0abcdef_.pt",
    ]
    (tmp_path / "nonfinite").mkdir()
    for name in (*left, ".notes.json"):
        (tmp_path / name).write_text("")
    run = forked_train(small_pretraining, tmp_path, "--resume", "--cfg-options", *one)
    assert run.status == 0 and [path.name for path in tmp_path.rglob(".*")] == [".notes.json"]
    same_run(undisturbed, run)


def test_a_truncated_newest_checkpoint_is_skipped_with_a_warning(
    forked_train, small_pretraining, undisturbed, tmp_path
):
    shutil.copytree(undisturbed.work_dir, tmp_path / "run")
    os.truncate(tmp_path / "run" / "iter_8.pth", 100_000)
    run = forked_train(small_pretraining, tmp_path / "run", "--resume")
    assert run.status == 0 and "Resumed exactly after iteration 7" in run.output
    (warning,) = [line for line in run.output.splitlines() if "Skipped" in line]
    assert "WARNING" in warning and "iter_8.pth cannot be read" in warning
    same_run(undisturbed, run)


ITERATIONS = """
_base_ = "{base}"
train_cfg = dict(_delete_=True, by_epoch=False, max_iters=7, val_interval=3)
train_dataloader = dict(sampler=dict(_delete_=True, type="{sampler}", shuffle=True))
param_scheduler = dict(by_epoch=False, T_max=7)
randomness = dict(seed=None)
log_processor = dict(by_epoch=False)
# Five of the checkpoints are written between two steps of the optimiser.
optim_wrapper = dict(accumulative_counts=3)
"""


@pytest.mark.parametrize("sampler", ["InfiniteSampler", pytest.param("DefaultSampler", marks=pytest.mark.long)])
def test_iterations_accumulated_gradients_and_a_seed_that_nobody_configured(
    forked_train, small_pretraining, tmp_path, sampler
):
    config = tmp_path / "iterations.py"
    config.write_text(ITERATIONS.format(base=small_pretraining, sampler=sampler))
    killed = forked_train(config, tmp_path / "killed", "--cfg-options", *at(5))
    assert killed.status == KILLED
    gradients = killed.checkpoint()["smix_resume"]["ranks"][0]["gradients"]
    assert max(gradient.abs().max() for gradient in gradients.values()) > 0
    resumed = forked_train(config, tmp_path / "killed", "--resume")
    assert resumed.status == 0 and "Iter(train) [6/7]" in resumed.output and "(train) [5/7]" not in resumed.output
    seed = resumed.checkpoint()["meta"]["seed"]
    undisturbed = forked_train(config, tmp_path / "undisturbed", "--cfg-options", f"randomness.seed={seed}")
    same_run(undisturbed, resumed)


@pytest.mark.long
def test_checkpoints_after_epochs_and_a_kill_before_the_validation(forked_train, small_pretraining, tmp_path):
    """The schedule looks at the validation, so a resume has to make it up."""
    config = tmp_path / "epochs.py"
    config.write_text(f"""
_base_ = "{small_pretraining}"
train_cfg = dict(max_epochs=3)
default_hooks = dict(checkpoint=dict(by_epoch=True))
param_scheduler = dict(_delete_=True, type="ReduceOnPlateauLR", monitor="accuracy/top1", patience=0, factor=0.5)
custom_hooks = [dict(type="KillHook"), dict(type="EMAHook")]
""")
    undisturbed = forked_train(config, tmp_path / "undisturbed")
    assert undisturbed.status == 0
    work_dir = tmp_path / "killed"
    for epoch, resume in ((1, []), (2, ["--resume"])):
        run = forked_train(config, work_dir, *resume, "--cfg-options", *at(4 * epoch, after="epoch"))
        assert run.status == KILLED and run.checkpoint()["meta"]["epoch"] == epoch
        assert f"Epoch(val) [{epoch}]" not in run.output
    run = forked_train(config, work_dir, "--resume")
    assert "Epoch(val) [2]" in run.output and "Epoch(train) [2]" not in run.output
    same_run(undisturbed, run)
    one, other = undisturbed.checkpoint(), run.checkpoint()
    same_weights(one["ema_state_dict"], other["ema_state_dict"])
    assert one["param_schedulers"] == other["param_schedulers"]


@pytest.mark.long
def test_a_config_that_names_the_exact_parts_needs_no_tool(forked_train, small_pretraining, tmp_path):
    """mmengine's own Runner, its own resume, no seed; another sampler seed would show."""
    config = tmp_path / "named.py"
    config.write_text(f"""
_base_ = "{small_pretraining}"
train_cfg = dict(_delete_=True, type="ExactEpochBasedTrainLoop", max_epochs=2)
default_hooks = dict(checkpoint=dict(type="ExactCheckpointHook"))
randomness = dict(seed=None)
""")
    killed = forked_train(config, tmp_path / "killed", "--cfg-options", *at(3), program="plain")
    assert killed.status == KILLED
    resumed = forked_train(config, tmp_path / "killed", "--cfg-options", "resume=True", program="plain")
    assert resumed.status == 0, resumed.output[-3000:]
    seed = resumed.checkpoint()["meta"]["seed"]
    undisturbed = forked_train(config, tmp_path / "whole", "--cfg-options", f"randomness.seed={seed}", program="plain")
    same_run(undisturbed, resumed)


@pytest.mark.long
def test_a_detector_whose_loss_samples_at_random(forked_train, small_detection, tmp_path):
    packages = ("mmdet.models", "mmdet.datasets", "mmdet.engine", "mmdet.visualization")

    def train(name, *options):
        return forked_train(small_detection, tmp_path / name, *options, packages=packages)

    undisturbed = train("undisturbed")
    assert undisturbed.status == 0, undisturbed.output[-3000:]
    for iteration, resume in ((2, []), (4, ["--resume"])):
        assert train("killed", *resume, "--cfg-options", *at(iteration)).status == KILLED
    same_run(undisturbed, train("killed", "--resume"))


RECURSIVE = """
_base_ = "{base}"
model = dict(type="RecursiveMixClassifier", omega=5.0)
data_preprocessor = dict(batch_augments=dict(_delete_=True, augments=dict(type="RecursiveMix"), probs=1.0))
"""


def test_recursivemix_goes_on_with_the_batch_before_the_kill(forked_train, small_pretraining, tmp_path):
    config = tmp_path / "recursive.py"
    config.write_text(RECURSIVE.format(base=small_pretraining))
    undisturbed = forked_train(config, tmp_path / "undisturbed")
    assert undisturbed.status == 0, undisturbed.output[-3000:]
    for iteration, resume in ((3, []), (4, ["--resume"])):
        run = forked_train(config, tmp_path / "run", *resume, "--cfg-options", *at(iteration))
        assert run.status == KILLED and run.checkpoint()["meta"]["iter"] == iteration
    run = forked_train(config, tmp_path / "run", "--resume")
    assert run.status == 0 and "Resumed exactly after iteration 4" in run.output
    same_run(undisturbed, run)
    histories = [
        each.checkpoint()["smix_resume"]["ranks"][0]["random"]["augments"]["data_preprocessor.batch_augments.0"]
        for each in (undisturbed, run)
    ]
    assert sorted(histories[0]) == ["images", "logits", "scores"]
    same_weights(*histories)


def test_augmentation_by_batch_on_the_device_is_resumed_exactly(forked_train, small_pretraining, tmp_path):
    config = tmp_path / "fast.py"
    config.write_text(f"""
_base_ = {str(small_pretraining)!r}
data_preprocessor = dict(
    type="AugmentingClsDataPreprocessor", flip_prob=0.5, brightness=0.4, contrast=0.4, saturation=0.4, alphastd=0.1
)
model = dict(head=dict(type="BatchLinearClsHead"))
pipeline = [dict(type="LoadRandomResizedCrop", scale=32), dict(type="PackTensors")]
train_cfg = dict(max_epochs=1)
train_dataloader = dict(collate_fn=dict(type="channels_last_batch"), dataset=dict(pipeline=pipeline))
""")
    undisturbed = forked_train(config, tmp_path / "undisturbed", "--cfg-options", "train_dataloader.num_workers=0")
    assert undisturbed.status == 0, undisturbed.output[-3000:]
    (state,) = undisturbed.checkpoint()["smix_resume"]["ranks"]
    assert list(state["random"]["generators"]) == ["data_preprocessor", "data_preprocessor.batch_augments.0"]
    assert forked_train(config, tmp_path / "run", "--cfg-options", *at(2)).status == KILLED
    run = forked_train(config, tmp_path / "run", "--resume")
    assert run.status == 0 and "Resumed exactly after iteration 2" in run.output
    same_run(undisturbed, run)
