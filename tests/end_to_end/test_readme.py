"""The commands and code of the README and the guide run."""

import re
import shlex
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TEXT = README + (ROOT / "docs/guide.md").read_text()
# Not run here. tests/datasets/test_prepare_*.py fetch data sets from a local server.
SETUP = {
    "python tools/prepare_data.py cifar10 --check",
    "make demo",
    "make test",
    "make test-long",
    "make",
    ". .venv/bin/activate",
    "pip install -e .",
}
# Options that make a command short enough for a test.
SHORT = {
    "cifar10": "train_dataloader.batch_size=40 train_cfg.max_epochs=1 default_hooks.logger.interval=1",
    "bccd": "train_dataloader.dataset.indices=2 train_cfg.max_epochs=1 default_hooks.logger.interval=1",
}

# Commands that should end with status 1: check_data.py finds errors in the original BCCD.
VERDICTS = {"check_data.py": "box-without-area"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def commands() -> list[str]:
    lines = [line for block in blocks("bash") for line in block.strip().splitlines()]
    return [line for line in lines if line not in SETUP]


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 120


def test_every_file_named_in_the_readme_exists():
    named = re.findall(r"\]\(([^)#]+)\)|`((?:tools|configs|tests|docs)/[\w./-]+\.\w+)`", README)
    paths = {link or code for link, code in named if not link.startswith("http")}
    assert len(paths) > 3
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_every_named_target_of_make_exists():
    code = re.findall(r"`([^`\n]+)`", TEXT) + [line for block in blocks("bash") for line in block.splitlines()]
    targets = {target for line in code for target in re.findall(r"^make ([a-z-]+)", line)}
    makefile = (ROOT / "Makefile").read_text()
    assert {"demo", "test"} <= targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_the_config_in_the_readme_builds_and_mixes():
    from mmpretrain.registry import MODELS
    from mmpretrain.structures import DataSample

    config, _ = blocks("python")
    names: dict = {}
    exec(config, names)
    settings = dict(names["data_preprocessor"])
    settings["batch_augments"] = dict(settings["batch_augments"], probs=1.0)
    import smix_mm  # noqa: F401  (custom_imports does this in a config)

    preprocessor = MODELS.build(dict(type="ClsDataPreprocessor", **settings))
    inputs = torch.randint(0, 256, (4, 3, 32, 32), generator=torch.Generator().manual_seed(0)).byte()
    samples = [DataSample().set_gt_label(number) for number in range(4)]
    mixed = preprocessor(dict(inputs=inputs, data_samples=samples), training=True)["inputs"]
    plain = preprocessor(dict(inputs=inputs, data_samples=samples))["inputs"]
    assert mixed.shape == plain.shape and not torch.equal(mixed, plain)


def test_the_plain_example_runs():
    _, plain = blocks("python")
    names: dict = {}
    exec(plain, names)
    assert names["mixed_images"].shape == (8, 3, 32, 32) and names["mixed_targets"].shape == (8, 10)


@pytest.mark.long
def test_the_commands_run_one_after_another(few_cifar10, smix_data, run_tool, tmp_path):
    """In a temporary folder with links to the project's tools, configs and real data."""
    for name in ("tools", "configs", "smix_mm"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/cifar10").symlink_to(few_cifar10)
    (tmp_path / "data/BCCD").symlink_to(smix_data / "BCCD")
    lines = commands()
    assert len(lines) == 7
    for line in lines:
        # One epoch is trained in place of the guide's 200.
        command = shlex.split(line.replace("epoch_200", "epoch_1"))
        assert command[0] == "python"
        if "train.py" in command[1]:
            short = next(options for name, options in SHORT.items() if name in line)
            command += ([] if "--cfg-options" in command else ["--cfg-options"]) + short.split()
            command.insert(3, "--no-validate")
        verdict = next((verdict for name, verdict in VERDICTS.items() if name in line), None)
        run = run_tool(*command[1:], cwd=tmp_path, check=verdict is None)
        if verdict is not None:
            assert run.returncode == 1 and verdict in run.stdout, run.stdout
    assert (tmp_path / "backbone.pth").is_file()
    assert (tmp_path / "work_dirs/faster-rcnn_r18_fpn_bccd/load_proof.json").is_file()
