"""The released backbones: each file is recognised, checked against its README, and named in what is missing."""

import json
from functools import partial

import pytest
import torch
from torch import nn

pytest.importorskip("mmpretrain")

from mmpretrain.models import ResNet

from smix_mm.cli import run
from smix_mm.datasets.prepare import check_prepared, released
from smix_mm.datasets.prepare.released import RELEASES, describe_release, find_release
from smix_mm.study.sources import documented_training
from smix_mm.transfer import publish_backbone
from smix_mm.utils.errors import CheckpointError
from smix_mm.utils.files import file_hash

main = partial(run, "prepare_data")


def narrow(depth: int = 50) -> nn.Module:
    torch.manual_seed(depth)
    model = ResNet(depth, base_channels=2, stem_channels=2)
    model.fc = nn.Linear(64, 10)
    return model


def write(path, error: float, model: nn.Module | None = None, zipped: bool = True, **changed) -> None:
    """A file as the authors' script writes it, which runs under DataParallel."""
    model = nn.DataParallel(model or narrow())
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True)
    sum(parameter.sum() for parameter in model.parameters()).backward()
    optimizer.step()
    content = dict(epoch=299, arch="resnet", state_dict=model.state_dict(), best_err1=error, best_err5=error / 4,
                   optimizer=optimizer.state_dict()) | changed  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        {name: value for name, value in content.items() if value is not None},
        path,
        _use_new_zipfile_serialization=zipped,
    )


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    """A ResNet-50 with a few channels counts as the expected one; its real shapes are the subject of one test."""
    shapes = released._shapes(narrow().state_dict())
    monkeypatch.setattr(released, "_resnet50_shapes", lambda: shapes)


@pytest.fixture
def root(tmp_path):
    """All five files under their names, in torch's format of that time."""
    for row, release in RELEASES.items():
        write(tmp_path / f"data/released-backbones/{row}.pth.tar", release.error, zipped=False)
    return tmp_path / "data"


def test_the_figures_are_those_of_the_papers_table():
    from smix_mm.experiments.paper import IMAGENET_ERRORS

    assert {row: f"{release.error:.2f}" for row, release in RELEASES.items()} == {
        row: IMAGENET_ERRORS["resnet50"][row].partition("/")[0]
        for row in ("baseline", "cutout", "mixup", "cutmix", "saliencymix")
    }


@pytest.mark.parametrize("options", [[], ["--check"]])
def test_without_files_the_command_names_each_with_its_readme_and_place(options, tmp_path, capsys):
    assert main(["released-backbones", "--root", str(tmp_path), *options]) == 1
    first, *lines = capsys.readouterr().err.splitlines()
    assert first.startswith("prepare_data.py: 5 of 5 files are missing; download each by hand")
    assert len(lines) == 5
    for line, (row, release) in zip(lines, RELEASES.items()):
        assert line.startswith(f"  {tmp_path}/released-backbones/{row}.pth.tar: model_best.pth.tar of ")
        assert f"(top-1 error {release.error:.2f}) in the README of {release.readme}" in line
    assert "https://github.com/clovaai/CutMix-PyTorch" in lines[3] and "SaliencyMix/SaliencyMix" in lines[4]


def test_complete_files_are_listed_with_the_errors_that_they_claim_and_their_hashes_recorded(root, capsys):
    assert main(["released-backbones", "--root", str(root), "--check"]) == 0
    out = capsys.readouterr().out.splitlines()
    claims = "baseline 23.68, cutout 22.93, mixup 22.58, cutmix 21.40, saliencymix 21.26"
    assert out[-1].startswith(f"released-backbones is complete: top-1 errors in % as the files claim: {claims}; ")
    record = json.loads((root / "released-backbones/released.json").read_text())
    file = root / "released-backbones/cutmix.pth.tar"
    assert record["cutmix"] == dict(
        file="cutmix.pth.tar", sha256=file_hash(file), arch="resnet", epoch=299, best_err1=21.4, best_err5=21.4 / 4,
        source="https://github.com/clovaai/CutMix-PyTorch",
    )  # fmt: skip
    write(file, 21.4, model=narrow(), epoch=298)
    errors = check_prepared("released-backbones", root).errors
    assert len(errors) == 1 and f"{file} has changed since its SHA-256 was recorded" in errors[0]


def test_downloads_that_all_have_one_name_are_recognised_by_the_error_that_they_claim(tmp_path, capsys):
    for number, release in enumerate(RELEASES.values()):
        write(tmp_path / f"downloads/{number}/model_best.pth.tar", release.error + 0.002)
    command = ["released-backbones", "--root", str(tmp_path / "data"), "--from", str(tmp_path / "downloads")]
    assert main([*command, "--check"]) == 0
    copied, original = tmp_path / "data/released-backbones/mixup.pth.tar", tmp_path / "downloads/2/model_best.pth.tar"
    assert copied.read_bytes() == original.read_bytes()
    write(tmp_path / "other.pth", 30.0)
    assert main(["released-backbones", "--root", str(tmp_path / "data"), "--from", str(tmp_path / "other.pth")]) == 1
    assert "claims a top-1 error of 30.00 %, which is of no row of the table: baseline 23.68" in capsys.readouterr().err


@pytest.mark.parametrize(
    "changed, message",
    [
        (
            dict(best_err1=22.58),
            r"should claim the top-1 error of cutmix, 21.40 %, got 22.58 %, which is that of mixup",
        ),
        (dict(best_err1=21.6), r"should claim the top-1 error of cutmix, 21.40 %, got 21.60 %; download it again"),
        (dict(best_err1="good"), "should have numbers as epoch, best_err1 and best_err5"),
        (dict(best_err1=None), "should be a training checkpoint with epoch, .* but has no best_err1"),
        (dict(model=narrow(101)), r"should hold a ResNet-50, but 255 of its tensors .*layer3.6.*arch 'resnet'"),
        (dict(model=nn.Sequential(nn.Conv2d(3, 4, 3)), arch="mobilenet"), r"ResNet-50, but .* \(arch 'mobilenet'\)"),
    ],
)
def test_another_file_is_refused(changed, message, tmp_path):
    write(tmp_path / "cutmix.pth.tar", **{"error": 21.4, **changed})
    with pytest.raises(CheckpointError, match=message):
        released.check_release("cutmix", tmp_path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_file_is_refused(zipped, tmp_path):
    path = tmp_path / "cutmix.pth.tar"
    write(path, 21.4, zipped=zipped)
    assert describe_release(path)["best_err1"] == 21.4
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="cannot be read: it is (cut short|damaged or incomplete)"):
        describe_release(path)


def test_weights_that_exploded_are_refused(tmp_path):
    model = narrow()
    model.layer2[0].conv1.weight.data[0] = float("nan")
    write(tmp_path / "cutmix.pth.tar", 21.4, model)
    with pytest.raises(CheckpointError, match="NaN"):
        released.check_release("cutmix", tmp_path)


def test_a_study_finds_the_file_of_a_row_and_publishes_it_with_its_input_stated(root, tmp_path, monkeypatch):
    monkeypatch.setenv("SMIX_RELEASED", str(root / "released-backbones"))
    path = find_release("saliencymix")
    meta = publish_backbone(path, tmp_path / "backbone.pth", **documented_training("released://saliencymix"))
    assert (meta["channel_order"], meta["mean"], meta["style"]) == ("rgb", [123.675, 116.28, 103.53], "pytorch")
    assert meta["source_hash"] == file_hash(path) and meta["stem"] == "imagenet"
    with pytest.raises(CheckpointError, match="should be one of baseline, .*, got puzzlemix"):
        find_release("puzzlemix")
    path.unlink()
    with pytest.raises(CheckpointError, match="does not exist; download it: model_best.pth.tar of 'Trained models'"):
        find_release("saliencymix")


def test_the_expected_shapes_are_those_of_mmpretrains_resnet_50(monkeypatch):
    monkeypatch.undo()
    own = ResNet(50)
    own.fc = nn.Linear(2048, 1000)
    assert released._resnet50_shapes() == released._shapes(own.state_dict())
