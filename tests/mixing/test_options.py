"""The options of a mix, and what the docstrings of the functions that take them list."""

import inspect
import re
from dataclasses import FrozenInstanceError, fields
from fractions import Fraction
from functools import partial

import pytest
import torch

from smix_mm import batch_augments, mixing, models, saliency, transforms
from smix_mm.batch_augments import SaliencyMix
from smix_mm.batch_augments.saliency_mix import ShuffledSaliencyMix
from smix_mm.batch_augments.video import VideoSaliencyMix
from smix_mm.mixing import MixOptions, saliency_mix, saliency_mix_video
from smix_mm.mixing.functional import apply_mix
from smix_mm.mixing.patch import patch_size, place_patches
from smix_mm.models.label_batch import BatchClsDataPreprocessor, LabelBatch
from smix_mm.saliency.normalization import Unnormalize
from smix_mm.utils.tensors import check_images


def test_an_unknown_option_is_refused_by_name():
    images, scores = torch.rand(2, 3, 8, 8), torch.eye(2)
    for call in (partial(saliency_mix, images, scores), partial(saliency_mix_video, images[None], scores), SaliencyMix):
        with pytest.raises(TypeError, match="'scource'"):
            call(scource="salient")


def test_options_are_checked_and_frozen_and_alpha_becomes_a_float():
    options = MixOptions(Fraction(1, 2), border="clip")
    assert options == MixOptions(0.5, border="clip") and type(options.alpha) is float
    with pytest.raises(FrozenInstanceError):
        options.border = "shift"
    for field in fields(MixOptions):
        with pytest.raises(ValueError, match=f"{field.name} should be .* got 'nothing'"):
            MixOptions(**{field.name: "nothing"})


def public(package) -> list:
    return [value for name in package.__all__ if callable(value := getattr(package, name))]


DOCUMENTED = [
    *(each for package in (mixing, saliency, batch_augments, models, transforms) for each in public(package)),
    *(ShuffledSaliencyMix, VideoSaliencyMix, Unnormalize, LabelBatch),
    *(check_images, apply_mix, patch_size, place_patches),
    *(saliency.SaliencyDetector.peak, saliency.SaliencyDetector.extreme, BatchClsDataPreprocessor.forward),
    *(Unnormalize.for_detector, SaliencyMix.apply, SaliencyMix.draw, VideoSaliencyMix.do_blending),
]


@pytest.mark.parametrize("documented", DOCUMENTED, ids=lambda each: each.__qualname__)
def test_docstrings_list_every_argument_once(documented):
    text = inspect.getdoc(documented)
    if "\nArgs:\n" not in text:
        pytest.skip("without arguments, or without a list of them")
    section = re.split(r"\n\n(?=\S)", text.split("\nArgs:\n")[1])[0]
    # An argument's line is indented once, its continuation twice; names may share a line, or go on in the next.
    entries = re.findall(r"^ {4}((?:\*{0,2}\w+,\s+)*\*{0,2}\w+):(?=\s)", section, re.MULTILINE)
    listed = [name.strip("*") for entry in entries for name in re.split(r",\s+", entry)]
    assert len(listed) == len(set(listed))
    assert set(listed) == set(inspect.signature(documented).parameters) - {"self"}


@pytest.mark.parametrize("function", [saliency_mix, mixing.resize_mix])
def test_a_seed_for_a_generator_is_refused_with_a_sentence(function):
    with pytest.raises(TypeError, match="generator should be a torch.Generator on the CPU, got int"):
        function(torch.rand(2, 3, 8, 8), torch.tensor([0, 1]), num_classes=2, generator=3)


@pytest.mark.parametrize("previous", ["all", (), "classes", "short", (None, None)])
def test_a_previous_batch_of_another_form_is_refused_with_a_sentence(previous):
    images, scores = torch.rand(2, 3, 8, 8), torch.eye(2)
    previous = dict(all=images, classes=(images, torch.tensor([0, 1])), short=(images, scores[:1])).get(
        previous if isinstance(previous, str) else "", previous
    )
    with pytest.raises(ValueError, match="previous should be the images .* that recursive_mix returned, or None, got"):
        mixing.recursive_mix(images, scores, previous)
