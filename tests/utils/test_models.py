"""Models inside wrappers."""

import pytest
from torch import nn

from smix_mm.utils.models import unwrapped


def test_a_model_is_taken_out_of_all_its_wrappers():
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    assert unwrapped(nn.DataParallel(nn.DataParallel(model))) is model


@pytest.mark.parametrize("name", ["module", "backbone"])
def test_other_models_are_returned_unchanged(name):
    model = nn.Module()
    model.head = nn.Linear(1, 1)
    setattr(model, name, nn.Linear(1, 1))
    assert unwrapped(model) is model
    assert unwrapped(model.head) is model.head
