"""Random state as plain values, and which checkpoint and which parts of a config a run takes."""

import os
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.runner import IterBasedTrainLoop
from torch import nn
from torch.utils.data import DataLoader

from smix_mm.engine.resume.checkpoint_hook import AtomicBackend, DeferredDeletes
from smix_mm.engine.resume.config import STARTED, choose_checkpoint, resume_from, use_exact_parts
from smix_mm.engine.resume.loops import ExactEpochBasedTrainLoop
from smix_mm.transfer.checkpoint import read_checkpoint
from smix_mm.utils.errors import CheckpointError
from smix_mm.utils.random_state import get_random_state, set_random_state


class Mixer:
    def __init__(self):
        self.generator = None


def model():
    """A model with a generator of its own, and a batch augmentation with one."""
    made = nn.Module()
    made.generator = nn.Linear(1, 1)  # a network of that name is none
    made.noise = nn.Module()
    made.noise.generator = torch.Generator().manual_seed(2)
    made.data_preprocessor = nn.Module()
    made.data_preprocessor.batch_augments = SimpleNamespace(augments=[Mixer(), Mixer()])
    return made


def draws(model):
    first = model.data_preprocessor.batch_augments.augments[0].generator
    return [
        random.gauss(0, 1),
        random.random(),
        np.random.randn(),
        np.random.rand(),
        torch.rand(()).item(),
        torch.rand((), generator=first).item(),
        torch.rand((), generator=model.noise.generator).item(),
    ]


def test_random_state_survives_a_checkpoint_that_is_read_without_unpickling(tmp_path):
    first = model()
    first.data_preprocessor.batch_augments.augments[0].generator = torch.Generator().manual_seed(1)
    draws(first)  # so that python and numpy each hold a Gaussian back
    torch.save(get_random_state(first), tmp_path / "state.pth")
    expected = [draws(first) for _ in range(3)]
    second = model()
    set_random_state(second, read_checkpoint(tmp_path / "state.pth"))
    assert [draws(second) for _ in range(3)] == expected
    assert second.data_preprocessor.batch_augments.augments[1].generator is None


def test_a_checkpoint_of_the_start_of_an_iteration_does_not_repeat_the_validation():
    loop = object.__new__(ExactEpochBasedTrainLoop)
    loop.dataloader = DataLoader([0, 1, 2], batch_size=1)
    loop._iter, loop.data_epoch, loop.batches_done, loop.validated = 3, 1, 0, True
    before, after = loop.progress(3), loop.progress(4)
    assert (before["batches_done"], before["validated"]) == (0, True)
    assert (after["batches_done"], after["validated"]) == (1, False)
    assert after["batches_per_epoch"] == 3 and after["sample_seed"] is None


def config(tmp_path, **settings):
    return Config(dict(work_dir=str(tmp_path), launcher="none", train_cfg=dict(by_epoch=True, max_epochs=1)) | settings)


def test_stock_parts_are_replaced_and_the_config_imports_the_package(tmp_path):
    cfg = config(
        tmp_path,
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=3)),
        custom_hooks=[dict(type=CheckpointHook, by_epoch=False), dict(type="LoadProofHook")],
    )
    assert use_exact_parts(cfg) == []
    assert cfg.default_hooks.checkpoint == dict(type="ExactCheckpointHook", interval=3)
    assert [hook.type for hook in cfg.custom_hooks] == ["ExactCheckpointHook", "LoadProofHook"]
    assert cfg.train_cfg == dict(type="ExactEpochBasedTrainLoop", max_epochs=1)
    assert cfg.custom_imports.imports == ["smix_mm"]
    again = cfg.pretty_text
    assert use_exact_parts(cfg) == [] and cfg.pretty_text == again


@pytest.mark.parametrize(
    "loop",
    [
        dict(by_epoch=False, max_iters=3),
        dict(type="IterBasedTrainLoop", max_iters=3),
        dict(type="mmengine.IterBasedTrainLoop", max_iters=3),
        dict(type=IterBasedTrainLoop, max_iters=3),
    ],
)
def test_every_spelling_of_a_stock_loop_is_recognised(tmp_path, loop):
    cfg = config(tmp_path, train_cfg=loop)
    assert use_exact_parts(cfg) == []
    assert cfg.train_cfg == dict(type="ExactIterBasedTrainLoop", max_iters=3)


def test_a_custom_loop_or_runner_is_not_replaced_but_named(tmp_path):
    cfg = config(tmp_path, train_cfg=dict(type="mmother.IterBasedTrainLoop"), default_hooks=dict(checkpoint=None))
    (note,) = use_exact_parts(cfg)
    assert "mmother.IterBasedTrainLoop is the config's own" in note
    assert cfg.train_cfg.type == "mmother.IterBasedTrainLoop" and cfg.default_hooks.checkpoint is None
    cfg = config(tmp_path, runner_type="FlexibleRunner")
    (note,) = use_exact_parts(cfg)
    assert "FlexibleRunner" in note and "by_epoch" in cfg.train_cfg


def checkpoint(folder, name, iteration, age, **others):
    content = dict(meta=dict(epoch=0, iter=iteration, seed=7), state_dict={}, message_hub={}) | others
    torch.save(content, folder / name)
    os.utime(folder / name, ns=(10**18 - age, 10**18 - age))


def test_the_newest_complete_checkpoint_is_chosen_and_damaged_ones_and_plain_weights_are_skipped(tmp_path):
    checkpoint(tmp_path, "iter_2.pth", 2, age=5)
    checkpoint(tmp_path, "iter_10.pth", 10, age=4)
    checkpoint(tmp_path, "best_top1_iter_9.pth", 9, age=0)
    checkpoint(tmp_path, "weights.pth", 0, age=2, meta=None)
    for name, age in (("iter_11.pth", 3), ("iter_12.pth", 1)):
        checkpoint(tmp_path, name, 11, age)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        os.utime(tmp_path / name, ns=(10**18 - age, 10**18 - age))
    choice = choose_checkpoint(config(tmp_path), "auto")
    assert (choice.checkpoint, choice.seed) == (str(tmp_path / "iter_10.pth"), 7)
    skipped = [note for note in choice.notes if note.startswith("Skipped")]
    assert [name in note for name, note in zip(("iter_12", "weights", "iter_11"), skipped)] == [True] * 3


def test_of_checkpoints_with_equal_times_the_higher_number_is_chosen(tmp_path):
    for number in (9, 10):
        checkpoint(tmp_path, f"epoch_{number}.pth", number, age=0)
    assert choose_checkpoint(config(tmp_path), "auto").checkpoint == str(tmp_path / "epoch_10.pth")


def test_the_number_in_the_name_counts_and_not_the_time_of_a_copy(tmp_path):
    for age, number in enumerate((9, 11, 10)):
        checkpoint(tmp_path, f"epoch_{number}.pth", number, age=age)
    assert choose_checkpoint(config(tmp_path), "auto").checkpoint == str(tmp_path / "epoch_11.pth")


@pytest.mark.parametrize("age, chosen", [(0, "epoch_3"), (10, "epoch_12")])
def test_checkpoints_of_an_earlier_run_in_the_same_folder_are_skipped(tmp_path, age, chosen):
    """Of the same run, if a kill came before last_checkpoint was written."""
    for number in (11, 12):
        checkpoint(tmp_path, f"epoch_{number}.pth", number, age=5)
    checkpoint(tmp_path, "epoch_3.pth", 3, age=age)
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "epoch_3.pth"))
    choice = choose_checkpoint(config(tmp_path), "auto")
    assert choice.checkpoint == str(tmp_path / f"{chosen}.pth")
    skipped = "Skipped: epoch_12.pth, epoch_11.pth, of an earlier run, because last_checkpoint names the newer"
    assert [note for note in choice.notes if "earlier run" in note] == ([f"{skipped} epoch_3.pth."] if age == 0 else [])


def test_without_a_complete_checkpoint_the_run_starts_as_configured(tmp_path):
    (tmp_path / "iter_1.pth").write_bytes(b"PK\3\4 cut")
    cfg = config(tmp_path, load_from="weights.pth", randomness=dict(seed=3))
    choice = choose_checkpoint(cfg, "auto")
    notes = resume_from(cfg, choice)
    assert "Skipped" in notes[0] and "starts as configured" in notes[1]
    assert (cfg.resume, cfg.load_from, cfg.randomness.seed) == (False, "weights.pth", 3)


def test_a_torch_without_an_allow_list_is_an_error_instead_of_a_new_start(tmp_path, monkeypatch):
    checkpoint(tmp_path, "iter_1.pth", 1, age=0)
    monkeypatch.delattr(torch.serialization, "safe_globals")
    with pytest.raises(CheckpointError, match="cannot read them without unpickling; use torch 2.5 or newer"):
        choose_checkpoint(config(tmp_path), "auto")


def test_checkpoints_in_the_folder_of_the_hook_are_found(tmp_path):
    (tmp_path / "big" / "run").mkdir(parents=True)
    checkpoint(tmp_path / "big" / "run", "epoch_1.pth", 1, age=0)
    hooks = dict(checkpoint=dict(type="CheckpointHook", out_dir=str(tmp_path / "big")))
    choice = choose_checkpoint(config(tmp_path / "run", default_hooks=hooks), "auto")
    assert choice.checkpoint == str(tmp_path / "big" / "run" / "epoch_1.pth")


def test_a_given_checkpoint_is_used_or_refused_but_not_replaced_by_another(tmp_path):
    for name in ("iter_1.pth", "iter_2.pth"):
        checkpoint(tmp_path, name, 1, age=0)
    cfg = config(tmp_path, randomness=dict(seed=3, deterministic=True))
    notes = resume_from(cfg, choose_checkpoint(cfg, str(tmp_path / "iter_1.pth")))
    assert (cfg.resume, cfg.load_from) == (True, str(tmp_path / "iter_1.pth"))
    assert cfg.randomness == dict(seed=7, deterministic=True) and "seed 7 is used, not the config's 3" in notes[0]
    checkpoint(tmp_path, "weights.pth", 0, age=0, message_hub=None)
    with pytest.raises(CheckpointError, match=r"has no message_hub, so a run cannot be resumed from it.*load_from="):
        choose_checkpoint(cfg, str(tmp_path / "weights.pth"))


def test_a_restarted_process_resumes_from_a_checkpoint_of_the_same_launch(tmp_path, monkeypatch):
    checkpoint(tmp_path, "iter_8.pth", 8, age=0)  # of a run before
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "2")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    assert choose_checkpoint(config(tmp_path), None).checkpoint is None
    assert (tmp_path / STARTED).is_file()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert choose_checkpoint(config(tmp_path), None).checkpoint is None
    torch.save(torch.load(tmp_path / "iter_8.pth", weights_only=True), tmp_path / "iter_2.pth")
    assert choose_checkpoint(config(tmp_path), None).checkpoint == str(tmp_path / "iter_2.pth")


def test_a_replaced_file_is_removed_only_after_its_replacement_is_written(tmp_path):
    backend = DeferredDeletes(AtomicBackend())
    old, new = str(tmp_path / "old.pth"), str(tmp_path / "new.pth")
    backend.put(b"old", old)
    backend.remove(old)
    assert backend.isfile(old)
    backend.put(b"new", new)
    backend.remove(new)
    backend.remove_now(keep={new, None})
    assert not backend.isfile(old) and backend.get(new) == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["new.pth"]
