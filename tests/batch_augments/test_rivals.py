"""The rivals inside mmpretrain: the functions' mixes, RecursiveMix's history, and its consistency loss."""

import copy

import numpy as np
import pytest
import torch
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.models.utils.batch_augments import RandomBatchAugment
from mmpretrain.registry import BATCH_AUGMENTS, MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

import smix_mm  # noqa: F401  (registers)
from smix_mm import guided_mixup, recursive_mix, resize_mix, saliency_mix
from smix_mm.engine.nonfinite.batches import IterationSnapshot
from smix_mm.utils.errors import UsageError
from smix_mm.utils.random_state import get_random_state, set_random_state

MEAN, STD = [125.3, 123.0, 113.9], [63.0, 62.1, 66.7]
NAMES = ["PaperResizeMix", "GuidedMixup", "RecursiveMix"]


def make_images(samples: int = 8, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (samples, 3, 24, 31), dtype=torch.uint8, generator=generator)


def normalize(uint8_images: Tensor) -> Tensor:
    return (uint8_images.float() - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def build(name: str, **options):
    own = dict(mean=MEAN, std=STD) if name == "GuidedMixup" else {}
    return BATCH_AUGMENTS.build(dict(type=name, **own) | options)


def generator_of(seed: int) -> torch.Generator:
    """The one that an augmentation makes for itself."""
    state = np.random.SeedSequence([seed, 0]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


def test_they_mix_as_the_functions_do_from_their_own_generators():
    images, scores = normalize(make_images()), torch.eye(8)
    torch.manual_seed(11)
    augment, generator = build("PaperResizeMix", tau=(0.3, 0.6)), generator_of(11)
    for _ in range(2):
        expected = resize_mix(images, scores, tau=(0.3, 0.6), generator=generator)
        assert all(map(torch.equal, augment(images, scores), expected))
    detector = dict(type="FineGrainedSaliency")
    for order, looks in (("rgb", make_images()), ("bgr", make_images().flip(1))):
        found = build("GuidedMixup", channel_order=order)(images, scores)
        assert all(map(torch.equal, found, guided_mixup(images, scores, uint8_images=looks)))
    assert not torch.equal(build("GuidedMixup", saliency=detector)(images, scores)[0], found[0])
    torch.manual_seed(11)
    augment, generator, previous = build("RecursiveMix", alpha=0.9), generator_of(11), None
    for seed in range(3):
        images = normalize(make_images(seed=seed))
        previous = recursive_mix(images, scores, previous, alpha=0.9, generator=generator)
        assert all(map(torch.equal, augment(images, scores), previous))


def test_mmpretrains_resizemix_is_another_distribution():
    augment = BATCH_AUGMENTS.build(dict(type="ResizeMix", alpha=1.0))
    np.random.seed(0)
    boxes = np.array([augment.cutmix_bbox_and_lam((100, 100), np.random.uniform(0.1, 0.8))[0] for _ in range(2000)])
    heights, widths = boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]
    inside = (boxes[:, 0] > 0) & (boxes[:, 1] < 100)
    # Sides from sqrt(1 - 0.8) to sqrt(1 - 0.1) of the image's, not from 0.1 to 0.8; cut off at the borders.
    assert heights[inside].min() >= 43 and (heights[~inside] < 43).any() and (heights != widths).any()
    augment = BATCH_AUGMENTS.build(dict(type="ResizeMix", alpha=1.0, cutmix_minmax=[0.1, 0.8]))
    boxes = np.array([augment.cutmix_bbox_and_lam((100, 100), 0.5)[0] for _ in range(2000)])
    heights, widths = boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]
    assert (heights.min(), heights.max()) == (10, 79) and abs(np.corrcoef(heights, widths)[0, 1]) < 0.1


@pytest.mark.parametrize("name", NAMES)
def test_probs_is_the_share_of_batches_that_are_mixed(name):
    scores = torch.eye(4)
    np.random.seed(0)
    wrapper = RandomBatchAugment(build(name), probs=0.3)
    mixed = []
    for seed in range(150):
        images = normalize(make_images(4, seed))
        mixed.append(not torch.equal(wrapper(images, scores)[0], images))
    assert 28 <= sum(mixed) <= 62
    never, always = (RandomBatchAugment(build(name), probs=share) for share in (0.0, 1.0))
    assert all(torch.equal(never(images, scores)[0], images) for _ in range(5))
    different = [normalize(make_images(4, seed)) for seed in range(10)]
    assert sum(not torch.equal(always(images, scores)[0], images) for images in different) >= 7


@pytest.mark.parametrize("name", NAMES)
def test_the_preprocessor_gives_them_what_it_normalized(name):
    augments = dict(type=name) | (dict(mean=MEAN, std=STD) if name == "GuidedMixup" else {})
    preprocessor = ClsDataPreprocessor(
        mean=MEAN, std=STD, to_rgb=True, num_classes=8, batch_augments=dict(augments=augments, probs=1.0)
    )
    for seed in (1, 2):
        samples = [DataSample().set_gt_label(number) for number in range(8)]
        out = preprocessor(dict(inputs=make_images(seed=seed).flip(1), data_samples=samples), training=True)
    assert out["inputs"].shape == (8, 3, 24, 31) and not torch.equal(out["inputs"], normalize(make_images(seed=2)))
    scores = torch.stack([sample.gt_score for sample in out["data_samples"]])
    torch.testing.assert_close(scores.sum(1), torch.ones(8))


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_in_channels_last_and_one_hot_integers(name):
    images = normalize(make_images()).half().contiguous(memory_format=torch.channels_last)
    augment = build(name)
    for _ in range(2):
        mixed, scores = augment(images, torch.eye(8, dtype=torch.int64))
        assert mixed.dtype == torch.float16 and mixed.is_contiguous(memory_format=torch.channels_last)
        assert scores.dtype == torch.float32
    assert [each.shape[0] for each in augment(images[:0], torch.eye(8)[:0])] == [0, 0]


def test_what_is_not_finite_is_refused_where_it_would_spread():
    images = normalize(make_images())
    images[3, 1, 2, 2] = float("inf")
    for name in ("GuidedMixup", "RecursiveMix"):
        with pytest.raises(ValueError, match="NaN or infinity; check the data"):
            build(name)(images, torch.eye(8))
    mixed, scores = build("PaperResizeMix")(images, torch.eye(8))
    assert (~mixed.isfinite()).flatten(1).any(1).sum() <= (scores[:, 3] > 0).sum()
    with pytest.raises(ValueError, match="give GuidedMixup the same mean and std as the data preprocessor"):
        build("GuidedMixup", mean=[0, 0, 0], std=[1, 1, 1])(normalize(make_images()), torch.eye(8))


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("PaperResizeMix", dict(tau=[0.5]), r"tau should be two numbers from 0 to 1, .* got \[0.5\]"),
        ("GuidedMixup", dict(saliency=dict(type="Nothing")), "type of the saliency detector should be one of"),
        ("GuidedMixup", dict(std=[1, 0, 1]), "std should be three positive numbers"),
        ("RecursiveMix", dict(alpha=1.5), "alpha should be a number above 0 and at most 1, got 1.5"),
    ],
)
def test_a_wrong_option_is_refused_when_the_config_is_built(name, options, message):
    with pytest.raises(ValueError, match=message):
        build(name, **options)


def test_saliencymix_weighs_labels_by_saliency_and_mixes_grey_images():
    images, scores = normalize(make_images()), torch.eye(8)
    torch.manual_seed(11)
    found = build("SaliencyMix", mean=MEAN, std=STD, label="saliency")(images, scores)
    looks = dict(uint8_images=make_images(), generator=generator_of(11))
    expected = saliency_mix(images, scores, label="saliency", **looks)
    assert all(map(torch.equal, found, expected))
    grey = make_images()[:, :1]
    torch.manual_seed(11)
    found = build("SaliencyMix", mean=[100.0], std=[50.0])((grey - 100.0) / 50, scores)
    expected = saliency_mix(
        (grey - 100.0) / 50, scores, generator=generator_of(11), uint8_images=grey.repeat(1, 3, 1, 1)
    )
    assert all(map(torch.equal, found, expected))
    with pytest.raises(ValueError, match=r"shape \(N, 1, H, W\)"):
        build("SaliencyMix", mean=[100.0], std=[50.0])(images, scores)


CLASSES = 5


def classifier(kind: str = "RecursiveMixClassifier", augment: str = "RecursiveMix", probs: float = 1.0, **options):
    torch.manual_seed(0)
    preprocessor = dict(
        type="ClsDataPreprocessor", mean=MEAN, std=STD, num_classes=CLASSES,
        batch_augments=dict(augments=dict(type=augment, alpha=1.0), probs=probs),
    )  # fmt: skip
    model = MODELS.build(
        dict(
            type=kind,
            backbone=dict(type="ResNet_CIFAR", depth=18, stem_channels=8, base_channels=8),
            neck=dict(type="GlobalAveragePooling"),
            head=dict(type="LinearClsHead", num_classes=CLASSES, in_channels=64, loss=dict(type="CrossEntropyLoss")),
            data_preprocessor=preprocessor,
            **options,
        )
    )
    model.init_weights()
    return model


def step(model, seed: int, samples: int = 6) -> dict:
    """The losses of a batch, after preprocessor and augmentation."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (samples, 3, 32, 32), dtype=torch.uint8, generator=generator)
    data = dict(inputs=images, data_samples=[DataSample().set_gt_label(n % CLASSES) for n in range(samples)])
    batch = model.data_preprocessor(data, training=True)
    return model(**batch, mode="loss")


def recursive_of(model):
    return model.data_preprocessor.batch_augments.augments[0]


def test_the_consistency_loss_compares_the_region_with_the_previous_prediction():
    model, generator = classifier(omega=0.7), torch.Generator().manual_seed(0)
    maps = torch.randn(3, 64, 4, 8, generator=generator, requires_grad=True)
    inputs, before = torch.zeros(3, 3, 32, 64), torch.randn(4, CLASSES, generator=generator)
    from smix_mm.batch_augments.recursive_mix import History

    # Rows 8 to 24 of 32 are cells 1 and 2 of 4; columns 16 to 48 of 64 are cells 2 to 5 of 8.
    loss = model.consistency(inputs, maps, (8, 16, 24, 48), History(inputs, before, before))
    features = maps[:, :, 1:3, 2:6].mean((2, 3))
    found = (features @ model.region_fc.weight.T + model.region_fc.bias).double().softmax(1)
    truth = before[:3].double().softmax(1)
    expected = (truth * (truth / found).log()).sum(1).mean() * 0.7 * (16 * 32) / (32 * 64)
    torch.testing.assert_close(loss.double(), expected, atol=1e-6, rtol=1e-5)
    loss.backward()
    inside = maps.grad[:, :, 1:3, 2:6]
    assert inside.abs().min() > 0 and maps.grad.abs().sum() == inside.abs().sum()


def test_the_loss_of_a_step_is_that_of_its_region_and_of_the_step_before():
    model = classifier(omega=0.5).train()
    first = step(model, 1)
    assert first["loss_consistency"].item() == 0 and set(first) == {"loss", "loss_consistency"}
    first["loss_consistency"].backward()
    assert model.region_fc.weight.grad is not None
    history = recursive_of(model).history
    assert history.logits.shape == (6, CLASSES) and not history.logits.requires_grad
    seen = []
    consistency = model.consistency
    model.consistency = lambda *arguments: seen.append(arguments) or consistency(*arguments)
    second = step(model, 2)
    ((_, _, box, used),) = seen
    assert used is history and box[2] > box[0] and second["loss_consistency"].item() > 0
    pasted = recursive_of(model).history.images[:, :, box[0] : box[2], box[1] : box[3]]
    assert pasted[:, :, 0, 0].equal(history.images[:, :, 0, 0])
    # The last batch of an epoch may be smaller.
    assert all(torch.isfinite(loss) for loss in step(model, 3, samples=2).values())
    assert all(torch.isfinite(loss) for loss in step(model, 4).values())


def test_batches_that_are_not_mixed_have_no_consistency_loss_and_keep_the_history():
    model = classifier().train()
    step(model, 1)
    model.data_preprocessor.batch_augments.probs = [0.0, 1.0]
    history = recursive_of(model).history
    assert step(model, 2)["loss_consistency"].item() == 0 and recursive_of(model).history is history
    model.data_preprocessor.batch_augments.probs = [1.0, 0.0]
    assert step(model, 3)["loss_consistency"].item() > 0


def test_it_starts_from_the_weights_of_imageclassifier_and_predicts_the_same():
    ours, plain = classifier().eval(), classifier("ImageClassifier").eval()
    names = set(ours.state_dict()) - set(plain.state_dict())
    assert names == {"region_fc.weight", "region_fc.bias"}
    assert all(torch.equal(value, ours.state_dict()[name]) for name, value in plain.state_dict().items())
    images = normalize(make_images(2))
    assert torch.equal(ours(images), plain(images))


def test_without_recursivemix_it_refuses_to_train_but_predicts():
    model = classifier(augment="CutMix")
    assert model.eval()(normalize(make_images(2))).shape == (2, CLASSES)
    with pytest.raises(UsageError, match="needs RecursiveMix in data_preprocessor.batch_augments"):
        step(model.train(), 1)
    for omega in (-1, float("nan"), "1"):
        with pytest.raises(UsageError, match="omega should be a number of at least 0"):
            classifier(omega=omega)


def test_the_state_of_a_training_contains_the_history():
    model = classifier().train()
    assert get_random_state(model)["augments"] == {"data_preprocessor.batch_augments.0": {}}
    step(model, 1)
    # A checkpoint is written and read in between.
    state = copy.deepcopy(get_random_state(model))
    expected = step(model, 2)
    other = classifier().train()
    other.load_state_dict(model.state_dict())
    set_random_state(other, state)
    assert torch.equal(step(other, 2)["loss"], expected["loss"])
    # A plain network's state has no such entry, as before.
    assert "augments" not in get_random_state(torch.nn.Linear(1, 1))


def test_an_iteration_without_a_finite_loss_leaves_the_history_as_it_was():
    model = classifier().train()
    step(model, 1)
    snapshot, before = IterationSnapshot(model), recursive_of(model).history
    snapshot.take({})
    step(model, 2)
    assert recursive_of(model).history is not before
    snapshot.restore_buffers()
    assert recursive_of(model).history is before


def test_ranks_draw_different_regions(monkeypatch):
    def region(rank: int):
        monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
        monkeypatch.setattr("torch.distributed.get_rank", lambda: rank)
        torch.manual_seed(0)
        augment = build("RecursiveMix")
        augment(normalize(make_images()), torch.eye(8))
        return augment.take_region()[0]

    assert region(0) == region(0) != region(1)
