"""Channel order of images, as settings of a dataloader show it."""

import pytest

from smix_mm.utils.channels import batch_order, loaded_order


class LoadImageOfMine:
    """A step that a config names by its class."""


@pytest.mark.parametrize(
    "steps, order",
    [
        (["LoadImageFromFile", "PackInputs"], "bgr"),
        (["mmpretrain.LoadImageFromFile"], "bgr"),
        (["StrictLoadImage"], "bgr"),
        (["LoadRandomResizedCrop"], "bgr"),
        (["LoadMultiChannelImageFromFiles"], "bgr"),
        ([LoadImageOfMine], "bgr"),
        (["RandomCrop", "PackInputs"], "rgb"),
        (["LoadAnnotations", "PackInputs"], "rgb"),
    ],
)
def test_images_are_bgr_if_a_step_loads_them_and_reversed_by_a_preprocessor_that_flips(steps, order):
    dataset = dict(type="RepeatDataset", dataset=dict(type="Any", pipeline=[dict(type=step) for step in steps]))
    dataloader = dict(type="DataLoader", dataset=dataset)
    assert loaded_order(dataloader) == loaded_order(dataset) == order
    assert (batch_order(dataloader, False), batch_order(dataloader, True)) == (order, order[::-1])


def test_without_settings_the_order_is_not_known():
    assert loaded_order(None) is batch_order({}, True) is None
