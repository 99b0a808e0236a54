"""Batches that are kept, and run again."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from mmpretrain.structures import DataSample

from smix_mm.cli import run
from smix_mm.engine.nonfinite.batches import copy_batch, image_files, read_batch, write_batch
from smix_mm.engine.nonfinite.replay import replay_batch
from smix_mm.transfer.checkpoint import read_checkpoint
from smix_mm.utils.errors import CheckpointError
from smix_mm.utils.random_state import get_random_state

CONFIG = Path(__file__).parents[1] / "breaking_config.py"
BAD = "airplane/3030.jpg"  # in the third batch
RANDOM = get_random_state(torch.nn.Identity())


@pytest.fixture(scope="module", autouse=True)
def parts_and_one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(4)  # not as many as the trainings have
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(CONFIG.parent))
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def stop(forked_train, few_cifar10, tmp_path_factory):
    """Let a training stop; gives the file of its batch."""

    def start(*options: str, config: Path = CONFIG) -> Path:
        settings = (f"train_dataloader.dataset.data_root={few_cifar10}", *options)
        finished = forked_train(config, tmp_path_factory.mktemp("run"), "--cfg-options", *settings)
        assert finished.status == 1, finished.output
        (file,) = finished.work_dir.glob("nonfinite/*.pt")
        return file

    return start


@pytest.fixture(scope="module")
def bad_label(stop):
    return stop(f"train_dataloader.dataset.pipeline.1.file={BAD}")


def test_a_replay_gives_every_loss_again_to_the_bit(bad_label):
    replay = replay_batch(bad_label)
    assert (replay.iteration, replay.rank, len(replay.files)) == (3, 0, 8)
    assert np.isnan(replay.losses["loss_cls"]) and np.isnan(replay.losses["loss"])
    assert np.isfinite(replay.losses["loss_size"])
    assert replay.losses["loss_size"] == replay.saved["loss_size"] and replay.same


def test_a_replay_has_as_many_threads_as_the_training_had(bad_label, monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    replay_batch(bad_label)
    assert asked == [1, 4]


def test_the_kept_labels_are_those_before_the_mixing(bad_label):
    scores = [sample.gt_score for sample in read_batch(bad_label)["batch"]["data_samples"]]
    finite = [score for score in scores if score.isfinite().all()]
    assert len(finite) == 7 and all(sorted(score.tolist()) == [0.0] * 9 + [1.0] for score in finite)


def test_other_weights_are_told_apart(bad_label):
    replay = replay_batch(bad_label, checkpoint=bad_label.parents[1] / "iter_1.pth")
    assert not replay.same and np.isfinite(replay.losses["loss_size"])


def test_where_weights_are_averaged_the_trained_ones_are_replayed(stop, tmp_path):
    config = tmp_path / "averaged.py"
    config.write_text(f"""
_base_ = "{CONFIG}"
custom_hooks = [dict(type="EMAHook", momentum=0.5)]
""")
    replay = replay_batch(stop(f"train_dataloader.dataset.pipeline.1.file={BAD}", config=config))
    assert replay.same and replay.config.endswith("averaged.py")


def test_a_bad_label_is_found_in_its_file(bad_label, few_cifar10):
    assert replay_batch(bad_label).findings[0] == f"the annotations of {few_cifar10}/train/{BAD}"


def test_a_bad_image_is_found_in_its_file(stop, few_cifar10):
    break_image = "train_dataloader.dataset.pipeline.1.part=img"
    # SaliencyMix refuses images that are none before any loss is there.
    no_mixing = "data_preprocessor.batch_augments=None"
    replay = replay_batch(stop(f"train_dataloader.dataset.pipeline.1.file={BAD}", break_image, no_mixing))
    file = f"{few_cifar10}/train/{BAD}"
    assert replay.same
    assert replay.findings == [
        f"the batch itself (NaN), in {file}",
        f"the output of data_preprocessor (NaN), in {file}",
    ]


def test_an_overflow_is_found_in_its_module(stop, tmp_path):
    file = stop("custom_hooks.0.at=2", "custom_hooks.0.what=huge")
    with pytest.raises(CheckpointError, match="no weights to run with, because they were the cause"):
        replay_batch(file)
    content = read_checkpoint(file.parents[1] / "iter_1.pth")
    content["state_dict"]["backbone.layer1.0.conv2.weight"][0] = 3e38
    torch.save(content, tmp_path / "huge.pth")
    replay = replay_batch(file, checkpoint=tmp_path / "huge.pth")
    assert replay.same and replay.iteration == 2
    (finding,) = replay.findings
    assert finding.startswith("the output of backbone.layer1.0.conv2 (infinity), in ")


def test_a_batch_of_spoilt_weights_needs_others(stop):
    file = stop("custom_hooks.0.at=2", "custom_hooks.0.what=weights")
    with pytest.raises(CheckpointError, match="no weights to run with, because backbone.conv1.weight were the cause"):
        replay_batch(file)
    replay = replay_batch(file, checkpoint=file.parents[1] / "iter_1.pth")
    assert not replay.same and replay.findings == [] and np.isfinite(replay.losses["loss"])


@pytest.fixture
def tool(capsys):
    """tools/replay_batch.py, in this process."""

    def start(*arguments):
        return run("replay_batch", list(map(str, arguments))), capsys.readouterr()

    return start


def test_the_tool_prints_losses_and_findings(tool, bad_label):
    status, printed = tool(bad_label)
    assert status == 0
    assert "iteration 3, rank 0, 8 images\n" in printed.out
    assert "loss_cls  nan\n" in printed.out
    assert "\nnot finite: the annotations of " in printed.out and f"{BAD}\n" in printed.out
    assert printed.out.endswith("the same as when it was saved\n")


def test_the_tool_tells_another_outcome_by_its_status_and_a_mistake_by_one_sentence(tool, bad_label, tmp_path):
    status, printed = tool(bad_label, "--checkpoint", bad_label.parents[1] / "iter_1.pth")
    assert status == 1 and "  (when it was saved: " in printed.out
    status, printed = tool(tmp_path / "none.pt")
    assert status == 2 and printed.err.startswith("replay_batch.py: ") and printed.err.count("\n") == 1


def test_what_is_missing_is_said(bad_label, tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.pt does not exist"):
        replay_batch(tmp_path / "nothing.pt")
    with pytest.raises(FileNotFoundError, match="config .*none.py does not exist; give another one"):
        replay_batch(bad_label, config=tmp_path / "none.py")
    with pytest.raises(CheckpointError, match="should hold a batch; give a file that training has written"):
        replay_batch(bad_label.parents[1] / "iter_1.pth")


def sample(**fields) -> DataSample:
    return DataSample(metainfo=dict(img_path="a.jpg", scale_factor=(0.5, 0.5))).set_gt_label(3)


def test_what_training_writes_into_samples_does_not_reach_a_held_batch():
    batch = dict(inputs=torch.zeros(1, 3, 4, 4), data_samples=[sample()])
    held = copy_batch(batch)
    batch["data_samples"][0].set_gt_score(torch.ones(5))
    batch["data_samples"][0].gt_label.add_(1)
    batch["data_samples"][0].set_metainfo(dict(img_path="b.jpg"))
    batch["data_samples"].append(None)
    assert held["inputs"] is batch["inputs"]
    (kept,) = held["data_samples"]
    assert kept.keys() == ["gt_label"] and kept.gt_label == 3 and kept.img_path == "a.jpg"
    assert kept.metainfo == dict(img_path="a.jpg", scale_factor=(0.5, 0.5))


def test_a_detection_batch_comes_back_as_it_was(tmp_path):
    from mmdet.structures import DetDataSample
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.structures.mask import BitmapMasks, PolygonMasks

    boxes = torch.tensor([[0.0, 0, 2, 2], [1, 1, 3, 4]])
    square = np.array([0.0, 0, 0, 2, 2, 2])
    given = DetDataSample(metainfo=dict(img_path="a.jpg", scale_factor=np.array([1.5, 2.0]), flip=np.bool_(True)))
    given.gt_instances = InstanceData(
        bboxes=HorizontalBoxes(boxes),
        labels=torch.tensor([1, 0]),
        masks=BitmapMasks(np.eye(4, dtype=np.uint8)[None].repeat(2, 0), 4, 4),
    )
    given.ignored_instances = InstanceData(
        bboxes=HorizontalBoxes(boxes[:1]), masks=PolygonMasks([[square]], 4, 4), labels=torch.tensor([2])
    )
    batch = dict(inputs=[torch.arange(48, dtype=torch.uint8).view(3, 4, 4)], data_samples=[given])
    write_batch(tmp_path / "batch.pt", copy_batch(batch), RANDOM, iteration=7)
    content = read_batch(tmp_path / "batch.pt")

    assert content["iteration"] == 7
    assert torch.equal(content["batch"]["inputs"][0], batch["inputs"][0])
    (back,) = content["batch"]["data_samples"]
    assert type(back) is DetDataSample and image_files(content["batch"]) == ["a.jpg"]
    assert back.flip is True and np.array_equal(back.scale_factor, [1.5, 2.0])
    assert type(back.gt_instances.bboxes) is HorizontalBoxes
    assert torch.equal(back.gt_instances.bboxes.tensor, boxes)
    assert torch.equal(back.gt_instances.labels, torch.tensor([1, 0]))
    assert np.array_equal(back.gt_instances.masks.masks, given.gt_instances.masks.masks)
    assert np.array_equal(back.ignored_instances.masks.masks[0][0], square)


class Strange:
    """Nothing that a batch file may hold."""


def test_only_known_structures_are_written_and_built(tmp_path):
    with pytest.raises(TypeError, match=r"a batch file cannot hold a .*\.Strange"):
        write_batch(tmp_path / "batch.pt", dict(inputs=Strange()), RANDOM)
    assert list(tmp_path.iterdir()) == []
    write_batch(tmp_path / "batch.pt", dict(inputs=torch.zeros(2)), RANDOM)
    content = torch.load(tmp_path / "batch.pt", weights_only=True)
    content["batch"] = {"is": "os.system", "of": "true"}
    torch.save(content, tmp_path / "batch.pt")
    with pytest.raises(CheckpointError, match="class names should be one of BaseDataElement, .*, got 'os.system'"):
        read_batch(tmp_path / "batch.pt")


def test_a_file_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    torch.save(dict(format="smix_mm batch 1", batch=Evil()), tmp_path / "batch.pt")
    with pytest.raises(CheckpointError, match="is refused"):
        read_batch(tmp_path / "batch.pt")
    assert not (tmp_path / "ran").exists()
