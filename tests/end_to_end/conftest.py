"""What the tests of configs share."""

import functools
import re
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).parents[2]
CHOICES = tomllib.loads((ROOT / "tests/data/protocol.toml").read_text())["choice"]


def with_options(config: str) -> tuple[str, dict[str, str]]:
    """A config and its options; for the name of a config that has no file, those of which it consists."""
    if (ROOT / config).is_file():
        return config, {}
    start, augment, end = re.fullmatch(r"(.+_)([a-z-]+)(_[\w-]+\.py)", config).groups()
    name, _, choice = augment.partition("-")
    if name == "saliencymix" and choice:
        places = dict(saliency="augment.saliency.type")
        options = {places.get(key, f"augment.{key}"): value for key, value in CHOICES[choice].items()}
        return f"{start}saliencymix{end}", options
    return f"{start}baseline{end}", dict(augment=augment)


@pytest.fixture(scope="session")
def read():
    """Read a config by its path from the project's root, once; see :func:`with_options`."""
    from smix_mm.utils.config import read_config

    def read_once(config: str):
        file, options = with_options(config)
        return read_config(ROOT / file, options)

    return functools.lru_cache(None)(read_once)


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
