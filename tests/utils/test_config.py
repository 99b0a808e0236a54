"""Which file a config's name means."""

from pathlib import Path

import pytest

from smix_mm.engine.launch import load_config
from smix_mm.utils.config import find_config
from smix_mm.utils.errors import UsageError

ROOT = Path(__file__).parents[2]
NAME = "configs/cifar10/resnet18_baseline_cifar10.py"


def test_this_packages_configs_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config(NAME) == ROOT / NAME
    assert load_config(NAME, tmp_path, None, "none").model.backbone.depth == 18


def test_a_config_that_is_there_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = Path(NAME)
    own.parent.mkdir(parents=True)
    own.write_text("")
    assert find_config(NAME) == own


@pytest.mark.parametrize("name", ["resnet18_baseline.py", "configs/none.py"])
def test_no_other_name_is_looked_for(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=f"config {name} does not exist"):
        load_config(name, tmp_path, None, "none")
