"""VideoSaliencyMix in MMAction2's data preprocessor."""

import sys
import types

import pytest
import torch

REASON = "MMAction2 is not installed, or not for this mmcv: its last release needs mmcv below 2.2"
pytest.importorskip("mmaction", reason=REASON, exc_type=(ImportError, AssertionError))

import smix_mm  # noqa: E402
from smix_mm.saliency import SpectralResidualSaliency  # noqa: E402

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
SAMPLES, CLASSES, FRAMES = 6, 6, 8


@pytest.fixture(scope="module")
def models():
    """MMAction2's registry of models."""
    try:
        import mmaction.models
    except ModuleNotFoundError as error:
        if error.name != "mmaction.models.localizers.drn":
            raise
        # The wheel of 1.2.0 lacks this folder, so its models cannot be imported.
        for name, content in (("drn", dict(__path__=[])), ("drn.drn", dict(DRN=object))):
            module = types.ModuleType(f"mmaction.models.localizers.{name}")
            vars(module).update(content)
            sys.modules[module.__name__] = module
        import mmaction.models
    from mmaction.registry import MODELS
    from mmengine.registry import DefaultScope

    assert mmaction.models
    with DefaultScope.overwrite_default_scope("mmaction"):
        yield MODELS


def batch(shape: tuple[int, ...]):
    from mmaction.structures import ActionDataSample

    pixels = torch.Generator().manual_seed(3)
    clips = [torch.randint(0, 256, shape, dtype=torch.uint8, generator=pixels) for _ in range(SAMPLES)]
    return dict(inputs=clips, data_samples=[ActionDataSample().set_gt_label(number) for number in range(SAMPLES)])


@pytest.mark.parametrize("layout, shape", [("NCHW", (FRAMES, 3, 24, 31)), ("NCTHW", (1, 3, FRAMES, 24, 31))])
def test_the_preprocessor_mixes_as_the_function_does(models, layout, shape):
    saliency = dict(type="SpectralResidualSaliency")
    preprocessor = models.build(
        dict(
            type="ActionDataPreprocessor",
            mean=MEAN,
            std=STD,
            format_shape=layout,
            blending=dict(type="VideoSaliencyMix", num_classes=CLASSES, saliency=saliency),
        )
    )
    plain = preprocessor(batch(shape), training=False)["inputs"]
    torch.manual_seed(1)
    out = preprocessor(batch(shape), training=True)
    clips = torch.stack(batch(shape)["inputs"])
    if layout == "NCTHW":
        clips, plain = clips.squeeze(1).transpose(1, 2), plain.squeeze(1).transpose(1, 2)
    torch.manual_seed(1)
    expected, scores = smix_mm.saliency_mix_video(
        plain,
        torch.eye(CLASSES),
        uint8_images=clips,
        detector=SpectralResidualSaliency(),
        generator=smix_mm.mixing.plan.own_generator(),
    )
    mixed = out["inputs"] if layout == "NCHW" else out["inputs"].squeeze(1).transpose(1, 2)
    assert torch.equal(mixed, expected) and not torch.equal(mixed, plain)
    assert torch.equal(torch.stack([sample.gt_label for sample in out["data_samples"]]), scores)


def test_it_alternates_with_mmaction2s_own_blendings(models):
    names = ("MixupBlending", "CutmixBlending", "VideoSaliencyMix")
    augments = [dict(type=name, num_classes=CLASSES, alpha=1.0) for name in names]
    blending = dict(type="RandomBatchAugment", augments=augments)
    preprocessor = models.build(dict(type="ActionDataPreprocessor", mean=MEAN, std=STD, blending=blending))
    for _ in range(10):
        out = preprocessor(batch((FRAMES, 3, 24, 31)), training=True)
        scores = torch.stack([sample.gt_label for sample in out["data_samples"]])
        torch.testing.assert_close(scores.sum(1), torch.ones(SAMPLES))
