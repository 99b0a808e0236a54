"""What the tests of configs share."""

import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def read():
    """Read a config by its path from the project's root, once."""
    from smix_mm.utils.config import read_config

    return functools.lru_cache(None)(lambda config: read_config(ROOT / config))


@pytest.fixture
def saliency_network(tmp_path, monkeypatch):
    """A small network in place of the user's own, where the configs look for it."""
    import torch

    class Brightness(torch.nn.Module):
        def forward(self, images):
            return images.mean(1, keepdim=True)

    path = tmp_path / "network.pt2"
    batch = torch.export.Dim("batch", min=1, max=1024)
    program = torch.export.export(Brightness(), (torch.zeros(2, 3, 224, 224),), dynamic_shapes=({0: batch},))
    torch.export.save(program, path)
    monkeypatch.setenv("SMIX_SALIENCY_NETWORK", str(path))
    return path
