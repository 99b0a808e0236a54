"""Several processes on the CPU, started as a user starts them: with ``tools/dist_train.sh``."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.long

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NO_VALIDATION = "val_cfg = val_dataloader = val_evaluator = None\n"
PARTS = 'custom_imports = dict(imports=["smix_mm", "forked_runs"])'


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def train(config, work_dir, processes, *arguments, nodes=1, **environment):
    """``dist_train.sh``, on as many machines as ``nodes``; what the first one prints."""
    work_dir.mkdir(parents=True, exist_ok=True)
    names = dict(PYTHON=sys.executable, PORT=free_port(), PYTHONPATH=HERE, OMP_NUM_THREADS=1, GLOO_SOCKET_IFNAME="lo")
    names.update(environment, NNODES=nodes)
    command = ["tools/dist_train.sh", config, processes, "--work-dir", work_dir, *arguments]
    started = []
    outputs = [work_dir / f"output_{node}.txt" for node in range(nodes)]
    for node, output in enumerate(outputs):
        variables = {**os.environ, **{name: str(value) for name, value in names.items()}, "NODE_RANK": str(node)}
        with open(output, "w") as file:
            words = [str(word) for word in command]
            started.append(subprocess.Popen(words, cwd=ROOT, env=variables, stdout=file, stderr=subprocess.STDOUT))
    try:
        statuses = [process.wait(timeout=300) for process in started]
        assert statuses == [0] * nodes, "\n".join(output.read_text()[-3000:] for output in outputs)
    finally:
        for process in started:
            process.terminate()
    return outputs[0].read_text()


def last(work_dir):
    return torch.load((work_dir / "last_checkpoint").read_text(), weights_only=False)


def same_weights(first, second):
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


@pytest.fixture(scope="module")
def pretraining(small_pretraining, tmp_path_factory):
    """SaliencyMix, three epochs of two iterations in each of two processes."""
    config = tmp_path_factory.mktemp("configs") / "two.py"
    config.write_text(f'_base_ = "{small_pretraining}"\n{PARTS}\ntrain_cfg = dict(max_epochs=3)\n{NO_VALIDATION}')
    return config


@pytest.fixture(scope="module")
def undisturbed(pretraining, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp("undisturbed")
    train(pretraining, work_dir, 2)
    return work_dir


def test_ranks_draw_different_mixes(undisturbed):
    first, second = last(undisturbed)["smix_resume"]["ranks"]
    draws = []
    for rank in (first, second):
        (mixer,) = rank["random"]["generators"].values()
        generator = torch.Generator()
        generator.set_state(mixer["state"])
        draws.append(torch.rand(8, generator=generator))
    assert not torch.isclose(draws[0], draws[1]).any()


def test_a_run_that_loses_a_rank_starts_again_by_itself_and_ends_the_same(pretraining, undisturbed, tmp_path):
    shutil.copy(undisturbed / "iter_5.pth", tmp_path / "iter_99.pth")  # of an older run
    once = tmp_path / "killed"
    kill = [f"custom_hooks.0.{setting}" for setting in ("at=3", "rank=1", f"once={once}")]
    output = train(pretraining, tmp_path, 2, "--cfg-options", *kill, MAX_RESTARTS=1)
    assert once.is_file() and "exitcode: -9" in output
    # The other rank may be ended before its checkpoint of the third iteration is complete.
    assert re.search("Resumed exactly after iteration [23]", output)
    same_weights(last(undisturbed)["state_dict"], last(tmp_path)["state_dict"])


def test_two_machines_train_what_two_processes_of_one_train(pretraining, undisturbed, tmp_path):
    """Two launchers that meet at a loopback address that is not the usual one."""
    train(pretraining, tmp_path, 1, nodes=2, MASTER_ADDR="127.0.0.2")
    same_weights(last(undisturbed)["state_dict"], last(tmp_path)["state_dict"])


def test_two_machines_start_again_together(pretraining, undisturbed, tmp_path):
    once = tmp_path / "killed"
    kill = [f"custom_hooks.0.{setting}" for setting in ("at=3", "rank=1", f"once={once}")]
    train(pretraining, tmp_path, 1, "--cfg-options", *kill, nodes=2, MASTER_ADDR="127.0.0.2", MAX_RESTARTS=1)
    assert once.is_file()
    same_weights(last(undisturbed)["state_dict"], last(tmp_path)["state_dict"])


def test_a_resume_with_another_number_of_processes_says_that_it_is_not_exact(
    pretraining, undisturbed, forked_train, tmp_path
):
    run = forked_train(pretraining, tmp_path, "--resume", undisturbed / "iter_5.pth")
    assert run.status == 0
    assert "This resume is not exact: the checkpoint was written by 2 processes, this run has 1." in run.output


def losses(work_dir, ranks):
    """The mean over ranks of each iteration's loss."""
    files = [(work_dir / f"losses_{rank}.txt").read_text().split() for rank in range(ranks)]
    return torch.tensor([[float(value) for value in file] for file in files], dtype=torch.float64).mean(0)


def same_curve(config, folder, batch):
    option = "train_dataloader.batch_size={}".format
    for processes, work_dir in ((1, folder / "one"), (2, folder / "two")):
        train(config, work_dir, processes, "--cfg-options", option(batch // processes))
    one, two = losses(folder / "one", 1), losses(folder / "two", 2)
    assert len(one) == len(two) > 3 and not torch.isclose(one[0], one[1:], rtol=1e-3).all()
    torch.testing.assert_close(two, one, rtol=2e-5, atol=1e-6)


def test_one_and_two_processes_have_the_same_loss_curve(small_pretraining, tmp_path):
    """The same effective batch, no augmentation, and a norm that does not look across the batch."""
    config = tmp_path / "plain.py"
    config.write_text(f"""
_base_ = "{small_pretraining}"
{PARTS}
norm = dict(type="GN", num_groups=4, requires_grad=True)
model = dict(backbone=dict(norm_cfg=norm, drop_path_rate=0.0))
data_preprocessor = dict(batch_augments=None, to_onehot=True)
train_dataloader = dict(dataset=dict(indices=48, pipeline=[dict(type="LoadImageFromFile"), dict(type="PackInputs")]))
{NO_VALIDATION}custom_hooks = [dict(type="LossHook")]
""")
    same_curve(config, tmp_path, 16)


def test_so_has_a_detector_with_frozen_batch_norm(smix_data, tmp_path):
    """FCOS: its loss counts positives over all ranks, and samples nothing at random."""
    config = tmp_path / "fcos.py"
    config.write_text(f"""
_base_ = "mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py"
{PARTS}
model = dict(
    backbone=dict(depth=18, init_cfg=None, norm_eval=True, norm_cfg=dict(type="BN", requires_grad=False)),
    neck=dict(in_channels=[64, 128, 256, 512], out_channels=32),
    bbox_head=dict(num_classes=20, in_channels=32, feat_channels=32, stacked_convs=1),
)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    persistent_workers=False,
    batch_sampler=None,
    dataset=dict(
        _delete_=True,
        type="VOCDataset",
        data_root="{smix_data.absolute()}/VOCdevkit/",
        ann_file="VOC2007/ImageSets/Main/trainval.txt",
        data_prefix=dict(sub_data_root="VOC2007/"),
        indices=8,
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations", with_bbox=True),
            # Images of one size, so that no rank pads its own less than all would.
            dict(type="Resize", scale=(128, 128), keep_ratio=False),
            dict(type="PackDetInputs"),
        ],
    ),
)
train_cfg = dict(max_epochs=2)
{NO_VALIDATION}param_scheduler = []
optim_wrapper = dict(optimizer=dict(lr=0.002))
randomness = dict(seed=3)
custom_hooks = [dict(type="LossHook")]
""")
    same_curve(config, tmp_path, 4)
