"""The hook against losses that are NaN or infinite, in whole trainings on real images."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner

from smix_mm.engine.launch import build_runner, load_config
from smix_mm.engine.nonfinite.hook import SKIPPED, NonFiniteHook
from smix_mm.engine.nonfinite.report import read_weights
from smix_mm.engine.resume.config import use_exact_parts
from smix_mm.engine.train import _add_nonfinite_hook, train
from smix_mm.transfer.checkpoint import read_checkpoint
from smix_mm.utils.errors import NonFiniteError, UsageError

CONFIG = Path(__file__).parents[1] / "breaking_config.py"
BAD = "airplane/3030.jpg"  # in the third and in the seventh of the config's eight batches
PATIENCE_2 = dict(type="NonFiniteHook", action="skip", patience=2)
NO_CHECKPOINTS = {"default_hooks.checkpoint.interval": -1}


@pytest.fixture(scope="module")
def run(few_cifar10, tmp_path_factory):
    """Train the config in this process with a bad file; gives the work dir and the stop's message, if any."""

    def start(*hooks, bad="", folder=None, start=train, **options):
        folder = folder or tmp_path_factory.mktemp("run")
        settings = {
            "train_dataloader.dataset.data_root": str(few_cifar10),
            "train_dataloader.dataset.pipeline.1.file": bad,
            "custom_hooks": list(hooks),
            # Runs of one second share their logs otherwise.
            "experiment_name": f"{folder.name}{len(list(folder.iterdir()))}",
        }
        named = {name: options.pop(name) for name in ("resume", "on_nonfinite") if name in options}
        try:
            start(CONFIG, work_dir=folder, cfg_options={**settings, **options}, **named)
        except NonFiniteError as error:
            return folder, str(error)
        return folder, None

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(CONFIG.parent))
        patch.setattr(Runner, "_log_env", lambda self, env_cfg: None)  # it asks compilers for their versions
        yield start
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def clean(run):
    """An undisturbed run without the hook, with a checkpoint after every iteration."""

    def without_the_hook(config, work_dir, cfg_options):
        cfg = load_config(config, work_dir, cfg_options, "none")
        use_exact_parts(cfg)
        build_runner(cfg).train()

    return run(start=without_the_hook)[0]


@pytest.fixture(scope="module")
def stopped(run):
    """A run that writes no checkpoint but the stop's."""
    return run(bad=BAD, **NO_CHECKPOINTS)


@pytest.fixture(scope="module")
def skipped(run):
    return run(PATIENCE_2, bad=BAD)


def contents(path):
    """What a run goes on with, without the record of when and how it was started.

    A stop stands after the validation between two iterations, an ordinary checkpoint before it.
    """
    content = read_checkpoint(path)
    content["smix_resume"]["progress"].pop("validated")
    return {name: content[name] for name in ("state_dict", "optimizer", "param_schedulers", "smix_resume")}


def equal(one, other) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return one == other


def test_the_hook_changes_nothing_where_every_loss_is_finite(run, clean):
    watched, error = run()
    assert error is None
    assert equal(contents(watched / "iter_8.pth"), contents(clean / "iter_8.pth"))


def test_the_error_names_iteration_loss_files_and_what_to_do(stopped, few_cifar10):
    folder, error = stopped
    assert error.startswith("iteration 3 (epoch 1) has no finite loss: loss_cls is nan, loss is nan for ")
    assert len(set(re.findall(rf"{few_cifar10}/train/\w+/\d+\.jpg", error.split("(look")[0]))) == 8
    assert f"(check the annotations of {few_cifar10}/train/{BAD})" in error
    assert f"--resume continues from the state before it, {folder}/iter_2.pth: fix the data" in error
    assert f"`python tools/replay_batch.py {folder}/nonfinite/iter_3_rank0.pt` replays its batch" in error
    assert "\n" not in error


def test_the_checkpoint_is_the_one_that_an_undisturbed_run_writes_there(stopped, clean):
    folder, _ = stopped
    assert [path.name for path in folder.glob("*.pth")] == ["iter_2.pth"]
    stop = contents(folder / "iter_2.pth")
    assert any("running_mean" in name for name in stop["state_dict"])
    assert stop["smix_resume"]["progress"]["batches_done"] == 2
    assert equal(stop, contents(clean / "iter_2.pth"))


def test_with_the_data_as_they_are_a_resume_stops_at_the_same_batch_with_the_same_words(run, stopped):
    folder, error = stopped
    assert run(bad=BAD, folder=folder, resume="auto", **NO_CHECKPOINTS)[1] == error


def test_with_the_data_mended_a_resume_ends_as_if_nothing_had_been(run, stopped, clean, tmp_path):
    shutil.copytree(stopped[0], tmp_path, dirs_exist_ok=True)
    assert run(folder=tmp_path, resume="auto")[1] is None
    assert equal(contents(tmp_path / "iter_8.pth"), contents(clean / "iter_8.pth"))


def test_skip_leaves_out_the_bad_batches_alone_and_counts_them(skipped, clean):
    folder, error = skipped
    assert error is None
    assert equal(contents(folder / "iter_2.pth"), contents(clean / "iter_2.pth"))
    before, after, end = (read_checkpoint(folder / f"iter_{number}.pth") for number in (2, 3, 8))
    assert equal(before["state_dict"], after["state_dict"])
    assert equal(before["optimizer"]["state"], after["optimizer"]["state"])
    assert after["meta"]["iter"] == 3
    assert not equal(end["state_dict"], after["state_dict"])
    assert end["message_hub"]["runtime_info"][SKIPPED] == [3, 7]
    (log,) = folder.glob("*/*.log")
    assert "2 of 8 iterations were skipped because their loss was not finite: 3, 7." in log.read_text()
    (scalars,) = folder.glob("*/vis_data/scalars.json")
    assert "NaN" not in scalars.read_text()


def test_a_resume_counts_the_skipped_on(run, skipped, tmp_path):
    shutil.copy(skipped[0] / "iter_5.pth", tmp_path)
    run(bad=BAD, folder=tmp_path, resume="auto", on_nonfinite="skip", **NO_CHECKPOINTS)  # but for the last
    resumed, whole = (read_checkpoint(folder / "iter_8.pth") for folder in (tmp_path, skipped[0]))
    assert resumed["message_hub"]["runtime_info"][SKIPPED] == [3, 7]
    assert equal(resumed["state_dict"], whole["state_dict"])


@pytest.mark.long
@pytest.mark.parametrize(
    "group, steps",
    [
        (2, {2: True, 4: True, 6: True, 8: True}),  # iterations 3 and 7 open groups: their other half makes the step
        (3, {3: False, 6: True, 8: True}),  # iteration 3 would complete its group
    ],
)
def test_of_accumulated_gradients_the_bad_part_is_left_out(run, tmp_path, group, steps):
    options = {"bad": BAD, "on_nonfinite": "skip", "optim_wrapper.accumulative_counts": group}
    folder, error = run(**options)
    assert error is None
    weights = [
        read_checkpoint(folder / f"iter_{number}.pth")["state_dict"]["backbone.conv1.weight"] for number in range(1, 9)
    ]
    moved = {number + 1: not torch.equal(weights[number - 1], weights[number]) for number in range(1, 8)}
    assert moved == {number: steps.get(number, False) for number in range(2, 9)}
    # What the bad iteration leaves of its group is all that a resume has, and it makes the same steps of it.
    shutil.copy(folder / "iter_3.pth", tmp_path)
    run(folder=tmp_path, resume="auto", **options)
    ends = [read_checkpoint(each / "iter_8.pth")["state_dict"] for each in (folder, tmp_path)]
    assert equal(*ends)


def test_skip_stops_at_too_many_in_a_row(run):
    folder, error = run(dict(PATIENCE_2, patience=3), bad="jpg", **NO_CHECKPOINTS)
    assert error.startswith("iteration 3 (epoch 1), as the 2 before it, has no finite loss")
    assert read_checkpoint(folder / "iter_2.pth")["message_hub"]["runtime_info"][SKIPPED] == [1, 2]


def test_spoilt_weights_stop_even_skip_and_are_not_saved(run):
    folder, error = run(dict(type="BlowHook", at=3, what="weights"), on_nonfinite="skip")
    assert "iteration 3 " in error
    assert "the weights were not finite before it (backbone.conv1.weight), so no checkpoint is saved" in error
    assert (
        f"the last good one is {folder}/iter_2.pth: go on with a smaller learning rate, --resume {folder}/it" in error
    )
    assert sorted(path.name for path in folder.glob("*.pth")) == ["iter_1.pth", "iter_2.pth"]


def test_weights_that_a_step_blew_up_are_the_cause_and_no_image_is(run):
    folder, error = run(dict(type="BlowHook", at=3, what="fast"))
    saved = [read_checkpoint(folder / f"iter_{number}.pth")["state_dict"].values() for number in (1, 2, 3)]
    assert all(torch.isfinite(value).all() for values in saved for value in values)
    assert error.startswith("iteration 4 (epoch 1) has no finite loss: loss_size is nan") and ".jpg" not in error
    assert "the weights give no normal loss of other images, so no checkpoint is saved; the last good one is" in error
    advice = f"--resume {folder}/iter_2.pth --config-schedule --cfg-options optim_wrapper.optimizer.lr=0.005"
    assert advice in error
    assert sorted(path.name for path in folder.glob("*.pth")) == ["iter_1.pth", "iter_2.pth", "iter_3.pth"]
    # A run that is resumed from the spoilt weights has no finite loss to compare with.
    again = run(folder=folder, resume=str(folder / "iter_3.pth"))[1]
    assert advice in again and ".jpg" not in again


def test_a_rate_that_is_too_large_from_the_start_leaves_no_good_checkpoint(run):
    error = run(**{"optim_wrapper.optimizer.lr": 1e30})[1]
    assert "and there is no good one: start again with a smaller learning rate" in error and ".jpg" not in error


def test_checkpoints_of_spoilt_weights_are_passed_over(run):
    """Weights that the step itself spoils get into that iteration's checkpoint; only the next loss shows it."""
    folder, error = run(dict(type="BlowHook", at=2, what="rate"))
    assert (folder / "iter_2.pth").exists() and "iteration 3 " in error
    assert f"the last good one is {folder}/iter_1.pth" in error


def test_a_bad_first_batch_leaves_the_weights_that_the_run_began_with_where_checkpoints_go(run, tmp_path):
    folder, error = run(bad="jpg", **NO_CHECKPOINTS, **{"default_hooks.checkpoint.out_dir": str(tmp_path)})
    path = tmp_path / folder.name / "iter_0.pth"
    assert "iteration 1 " in error and str(path) in error
    assert read_checkpoint(path)["state_dict"]["backbone.bn1.num_batches_tracked"] == 0


def test_wrong_arguments_are_refused_with_a_sentence():
    with pytest.raises(ValueError, match="action should be one of 'stop', 'skip', got 'ignore'"):
        NonFiniteHook("ignore")
    with pytest.raises(ValueError, match="patience should be at least 1, got 0"):
        NonFiniteHook("skip", patience=0)


@pytest.mark.parametrize("kind", ["NonFiniteHook", "mmengine.NonFiniteHook", NonFiniteHook])
def test_a_training_adds_no_second_hook_to_that_of_the_config(kind):
    cfg = Config(dict(custom_hooks=[dict(type=kind, action="skip")], optim_wrapper=dict(optimizer=dict())))
    _add_nonfinite_hook(cfg, None)
    assert cfg.custom_hooks == [dict(type=kind, action="skip")]


def test_several_optimisers_are_refused_with_a_sentence():
    with pytest.raises(UsageError, match="needs one optimizer with one loss per iteration, got OptimWrapperDict"):
        NonFiniteHook().before_train(SimpleNamespace(optim_wrapper=OptimWrapperDict()))


def test_a_checkpoint_of_an_earlier_run_that_went_further_is_none_to_go_on_from(tmp_path):
    file, weights = tmp_path / "epoch_3.pth", dict(weight=torch.ones(2))
    torch.save(dict(state_dict=weights, optimizer={}, meta=dict(iter=9)), file)
    assert read_weights(str(file), weights, 8) is None
    assert torch.equal(read_weights(str(file), weights, 9)["weight"], weights["weight"])
