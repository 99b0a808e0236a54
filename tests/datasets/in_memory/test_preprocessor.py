"""Augmentation on the device: what the ordinary pipeline does, bit for bit for the same draws, and as often."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

pytest.importorskip("mmpretrain")
pytest.importorskip("cv2")

from mmpretrain.datasets.transforms import PackInputs, RandomCrop
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import BATCH_AUGMENTS, MODELS, TRANSFORMS
from mmpretrain.structures import DataSample

import smix_mm.batch_augments  # noqa: F401  (registers)
from smix_mm.datasets.in_memory.preprocessor import STREAM, InMemoryClsDataPreprocessor, crop_and_flip, draw_crops
from smix_mm.mixing.plan import own_generator
from smix_mm.models.label_batch import BatchLinearClsHead, LabelBatch
from smix_mm.saliency import FineGrainedSaliency

PIXELS = dict(mean=[125.3, 123.0, 113.9], std=[63.0, 62.1, 66.7], num_classes=10)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(5)
    uint8_images = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return dict(inputs=uint8_images, data_samples=torch.randint(0, 10, (64,), generator=generator))


class PlacedCrop(RandomCrop):
    """mmpretrain's own crop at a place that was drawn elsewhere."""

    place = (0, 0)

    def rand_crop_params(self, img):
        return (*self.place, 32, 32)


def ordinary(uint8_image: torch.Tensor, top: int, left: int, flip: bool) -> torch.Tensor:
    """An image, uint8 RGB (3, H, W), through the transforms of the ordinary config; BGR as they hand it over."""
    crop = PlacedCrop(crop_size=32, padding=4)
    crop.place = top, left
    results = crop(
        dict(img=np.ascontiguousarray(uint8_image.numpy().transpose(1, 2, 0)[:, :, ::-1]), img_shape=(32, 32))
    )
    results = TRANSFORMS.build(dict(type="RandomFlip", prob=float(flip), direction="horizontal"))(results)
    return PackInputs()(results)["inputs"]


def test_the_same_draws_give_the_ordinary_pipelines_tensor_bit_for_bit(batch, monkeypatch):
    generator = torch.Generator().manual_seed(1)
    crops = draw_crops(64, 4, 0.5, generator)
    assert len(crops.unique(dim=0)) > 40 and {0, 8} <= set(crops[:, 0].tolist()), "corners occur too"
    monkeypatch.setattr("smix_mm.datasets.in_memory.preprocessor.draw_crops", lambda *arguments: crops)
    ours = InMemoryClsDataPreprocessor(**PIXELS)(batch, training=True)["inputs"]
    theirs = [
        ordinary(uint8_image, int(top), int(left), bool(flip))
        for uint8_image, (top, left, flip) in zip(batch["inputs"], crops)
    ]
    samples = [DataSample().set_gt_label(int(label)) for label in batch["data_samples"]]
    preprocessor = ClsDataPreprocessor(to_rgb=True, **PIXELS)
    theirs = preprocessor(dict(inputs=torch.stack(theirs), data_samples=samples), training=True)["inputs"]
    assert ours.dtype == theirs.dtype == torch.float32
    assert torch.equal(ours, theirs)
    assert ours.is_contiguous(memory_format=torch.channels_last)


def test_crops_and_flips_fall_as_in_the_ordinary_pipeline():
    """The place of a marked pixel shows the draw, in both ways."""
    number = 4000
    marked = torch.zeros(1, 1, 17, 16)
    marked[0, 0, 8, 4] = 1
    moved = crop_and_flip(marked.expand(number, -1, -1, -1), draw_crops(number, 4, 0.5, torch.Generator()), 4)
    ours = moved.flatten(1).argmax(1)
    np.random.seed(0)
    crop = RandomCrop(crop_size=(17, 16), padding=4)
    flip = TRANSFORMS.build(dict(type="mmcv.RandomFlip", prob=0.5, direction="horizontal"))
    uint8_image = marked[0].permute(1, 2, 0).numpy()
    theirs = [flip(crop(dict(img=uint8_image, img_shape=(17, 16))))["img"].argmax() for _ in range(number)]
    mine, others = (np.bincount(np.asarray(places), minlength=17 * 16) for places in (ours, theirs))
    assert set(np.flatnonzero(mine)) == set(np.flatnonzero(others)), "the same places occur"
    # 9 x 9 corners, flipped or not; 162 cells, so chi-square stays below 230 (p = 0.0003) for equal distributions.
    expected = np.zeros(17 * 16)
    for top in range(9):
        for left in range(9):
            row, column = 8 + 4 - top, 4 + 4 - left
            expected[row * 16 + column] += number / 162
            expected[row * 16 + 15 - column] += number / 162
    hit = expected > 0
    for counted in (mine, others):
        assert counted[~hit].sum() == 0
        assert (((counted - expected)[hit]) ** 2 / expected[hit]).sum() < 230


def test_draws_are_independent_of_each_other():
    crops = draw_crops(20000, 4, 0.5, torch.Generator().manual_seed(0)).double()
    correlation = torch.corrcoef(crops.T)
    assert (correlation - torch.eye(3)).abs().max() < 0.03
    assert torch.all((crops.mean(0) - torch.tensor([4.0, 4.0, 0.5])).abs() < torch.tensor([0.08, 0.08, 0.02]))


def test_without_padding_and_flip_an_image_stays_as_it_is(batch):
    crops = draw_crops(64, 0, 0.0, torch.Generator())
    assert torch.equal(crop_and_flip(batch["inputs"], crops, 0), batch["inputs"])
    plain = InMemoryClsDataPreprocessor(padding=0, flip_prob=0.0, **PIXELS)
    assert torch.equal(plain(batch, training=True)["inputs"], plain(batch, training=False)["inputs"])
    assert plain.generator is None


def test_evaluation_normalises_alone_and_the_batch_stays_untouched(batch):
    before = copy.deepcopy(batch)
    preprocessor = InMemoryClsDataPreprocessor(**PIXELS)
    inputs = preprocessor(batch, training=False)["inputs"]
    expected = (batch["inputs"].float() - torch.tensor(PIXELS["mean"]).view(3, 1, 1)) / preprocessor.std
    assert torch.equal(inputs, expected)
    preprocessor(batch, training=True)
    assert torch.equal(batch["inputs"], before["inputs"]) and torch.equal(batch["data_samples"], before["data_samples"])


def run(seed: int, batch, rank: int = 0, monkeypatch=None, batches: int = 2) -> torch.Tensor:
    torch.manual_seed(seed)
    preprocessor = InMemoryClsDataPreprocessor(**PIXELS)
    return torch.cat([preprocessor(batch, training=True)["inputs"] for _ in range(batches)])


def test_the_seed_decides_and_ranks_draw_differently(batch, monkeypatch):
    first = run(3, batch)
    assert torch.equal(first, run(3, batch))
    assert not torch.equal(first, run(4, batch))
    assert not torch.equal(first[:64], first[64:]), "the second batch is drawn anew"
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 1)
    assert not torch.equal(first, run(3, batch))


def test_neither_torchs_nor_numpys_global_numbers_are_used_up(batch):
    torch.manual_seed(0)
    np.random.seed(0)
    preprocessor = InMemoryClsDataPreprocessor(**PIXELS)
    preprocessor(batch, training=True)
    after = torch.rand(1), np.random.rand()
    torch.manual_seed(0)
    np.random.seed(0)
    assert (torch.rand(1), np.random.rand()) == after


def test_a_stored_generator_continues_where_it_was(batch):
    torch.manual_seed(0)
    going = InMemoryClsDataPreprocessor(**PIXELS)
    going(batch, training=True)
    state = going.generator.get_state()
    resumed = InMemoryClsDataPreprocessor(**PIXELS)
    resumed.generator = torch.Generator()
    resumed.generator.set_state(state)
    assert torch.equal(going(batch, training=True)["inputs"], resumed(batch, training=True)["inputs"])


def test_its_numbers_are_not_those_of_saliencymix_with_the_same_seed(batch):
    torch.manual_seed(0)
    mixing = BATCH_AUGMENTS.build(dict(type="SaliencyMix", mean=PIXELS["mean"], std=PIXELS["std"]))
    preprocessor = InMemoryClsDataPreprocessor(**PIXELS)
    out = preprocessor(batch, training=True)
    mixing(out["inputs"], torch.eye(10)[batch["data_samples"]])
    assert preprocessor.generator.initial_seed() != mixing.generator.initial_seed()


def test_the_seeds_of_the_generators_have_not_changed():
    torch.manual_seed(3)
    assert own_generator().initial_seed() == 6233904063939786893
    assert own_generator(STREAM).initial_seed() == 4854266099512449391


@pytest.mark.parametrize("augment", [dict(type="CutMix", alpha=1.0), dict(type="OfficialSaliencyMix")])
def test_batch_augments_mix_what_was_cropped_as_the_ordinary_preprocessor_does(batch, augment, monkeypatch):
    settings = dict(batch_augments=dict(augments=augment, probs=0.7), **PIXELS)
    crops = draw_crops(64, 4, 0.5, torch.Generator().manual_seed(1))
    monkeypatch.setattr("smix_mm.datasets.in_memory.preprocessor.draw_crops", lambda *arguments: crops)
    cropped = crop_and_flip(batch["inputs"], crops, 4)
    mixed = 0
    for seed in range(4):
        samples = [DataSample().set_gt_label(int(label)) for label in batch["data_samples"]]
        outputs = []
        for preprocessor, data in (
            (InMemoryClsDataPreprocessor(**copy.deepcopy(settings)), batch),
            (ClsDataPreprocessor(**copy.deepcopy(settings)), dict(inputs=cropped, data_samples=samples)),
        ):
            torch.manual_seed(seed)
            np.random.seed(seed)
            outputs.append(preprocessor(data, training=True))
        ours, theirs = outputs
        assert torch.equal(ours["inputs"], theirs["inputs"])
        scores = torch.stack([sample.gt_score for sample in theirs["data_samples"]])
        assert torch.equal(ours["data_samples"].targets, scores)
        mixed += bool((scores.max(1).values < 1).any())
    assert mixed >= 1


def test_saliencymix_sees_the_cropped_images_themselves(batch, monkeypatch):
    augments = dict(type="SaliencyMix", mean=PIXELS["mean"], std=PIXELS["std"])
    preprocessor = InMemoryClsDataPreprocessor(batch_augments=dict(augments=augments, probs=1.0), **PIXELS)
    crops = draw_crops(64, 4, 0.5, torch.Generator().manual_seed(1))
    monkeypatch.setattr("smix_mm.datasets.in_memory.preprocessor.draw_crops", lambda *arguments: crops)
    seen = []
    whole = FineGrainedSaliency.extreme

    def extreme(self, images, salient, pick):
        seen.append(images)
        return whole(self, images, salient, pick)

    monkeypatch.setattr(FineGrainedSaliency, "extreme", extreme)
    with torch.autocast("cpu", torch.bfloat16):  # as in a step of the fast configs
        out = preprocessor(batch, training=True)
    assert out["inputs"].dtype == out["data_samples"].targets.dtype == torch.float32
    uint8_images, cropped = (
        {uint8_image.numpy().tobytes() for uint8_image in uint8_images.contiguous()}
        for uint8_images in (seen[0], crop_and_flip(batch["inputs"], crops, 4))
    )
    assert uint8_images == cropped and len(cropped) == 64
    weights = out["data_samples"].targets
    assert torch.allclose(weights.sum(1), torch.ones(64)) and (weights.max(1).values < 1).any()


def test_the_head_has_the_ordinary_heads_loss_for_labels_and_for_scores(batch):
    torch.manual_seed(0)
    head = MODELS.build(dict(type="mmpretrain.BatchLinearClsHead", num_classes=10, in_channels=8))
    plain = MODELS.build(dict(type="mmpretrain.LinearClsHead", num_classes=10, in_channels=8))
    plain.load_state_dict(head.state_dict())
    features = (torch.randn(64, 8),)
    scores = torch.rand(64, 10).softmax(1)
    for labels in (LabelBatch(batch["data_samples"]), LabelBatch(batch["data_samples"], scores)):
        single = list(labels)
        assert len(single) == 64 and all(isinstance(sample, DataSample) for sample in single)
        loss = head.loss(features, labels)["loss"]
        assert torch.equal(loss, plain.loss(features, single)["loss"])
        assert torch.equal(loss, plain.loss(features, labels)["loss"]), "an ordinary head takes the batch as well"
        assert torch.equal(loss, head.loss(features, single)["loss"])
    predictions, theirs = head.predict(features, LabelBatch(batch["data_samples"])), plain.predict(features, single)
    for one, other in zip(predictions, theirs):
        assert torch.equal(one.pred_score, other.pred_score) and torch.equal(one.pred_label, other.pred_label)
        assert torch.equal(one.gt_label, other.gt_label)
    assert len(head.predict(features)) == 64
    assert isinstance(head, BatchLinearClsHead)


def test_accuracy_in_training_is_given_where_the_head_is_asked_for_it(batch):
    head = BatchLinearClsHead(num_classes=10, in_channels=8, cal_acc=True, topk=(1,))
    assert set(head.loss((torch.randn(64, 8),), LabelBatch(batch["data_samples"]))) == {"loss", "accuracy_top-1"}


def test_one_hot_labels_are_floats_as_a_loss_needs_them(batch):
    out = InMemoryClsDataPreprocessor(to_onehot=True, **PIXELS)(batch, training=False)["data_samples"]
    assert torch.equal(out.targets, torch.eye(10)[batch["data_samples"]])
    with pytest.raises(IndexError):
        out[64]
    assert [int(sample.gt_label) for sample in out[:3]] == batch["data_samples"][:3].tolist()


@pytest.mark.parametrize(
    "wrong, message", [(dict(padding=-1), "padding should be at least 0"), (dict(flip_prob=1.5), "flip_prob should be")]
)
def test_settings_out_of_range_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        InMemoryClsDataPreprocessor(**PIXELS, **wrong)


def test_a_batch_of_an_ordinary_dataset_is_refused(batch):
    preprocessor = InMemoryClsDataPreprocessor(**PIXELS)
    samples = [DataSample().set_gt_label(0)] * 64
    with pytest.raises(TypeError, match=r"data_samples list; use InMemoryDataset"):
        preprocessor(dict(inputs=batch["inputs"], data_samples=samples))
    with pytest.raises(TypeError, match=r"inputs torch.float32 \(64, 3, 32, 32\)"):
        preprocessor(dict(inputs=batch["inputs"].float(), data_samples=batch["data_samples"]))
