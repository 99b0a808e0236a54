"""Saliency of a network: given in three ways, with weights that must fit and run no code."""

import contextlib
import io
import os
import zipfile

import pytest
import torch
from torch import nn

from smix_mm.saliency import NetworkSaliency, build_detector


class Redness(nn.Module):
    """A salient-object network of our own: a learned mix of channels, and a coarse second map."""

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 1, 1)
        self.dropout = nn.Dropout(0.9)
        self.outputs = outputs

    def forward(self, images):
        maps = self.dropout(self.mix(images))
        return maps if self.outputs == 1 else [maps, nn.functional.avg_pool2d(maps, 8)][: self.outputs]


class Gives(nn.Module):
    """Gives what it was made with, whatever it is shown."""

    def __init__(self, give) -> None:
        super().__init__()
        self.give = give

    def forward(self, images):
        return self.give(images)


def redness(outputs: int = 1) -> Redness:
    network = Redness(outputs)
    with torch.no_grad():
        network.mix.weight.copy_(torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1))
        network.mix.bias.fill_(0.25)
    return network


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(redness().state_dict(), path)
    return path


@pytest.fixture
def images():
    """Grey, with a red spot whose middle is (20, 45), and (10, 12)."""
    images = torch.full((2, 3, 40, 60), 100, dtype=torch.uint8)
    images[0, 0, 18:23, 43:48] = 255
    images[1, 0, 8:13, 10:15] = 255
    return images


OPTIONS = dict(input_size=(32, 48), mean=(0, 0, 0), std=(255, 255, 255))


def test_finds_what_the_network_finds(images):
    before = images.clone()
    maps = NetworkSaliency(redness(), **OPTIONS)(images)
    assert maps.shape == (2, 40, 60) and maps.dtype == torch.float32 and not maps.requires_grad
    assert torch.equal(images, before)
    assert torch.equal(maps.amax((1, 2)), torch.ones(2)) and torch.equal(maps.amin((1, 2)), torch.zeros(2))
    peaks = NetworkSaliency(redness(), **OPTIONS).peak(images)
    assert (peaks - torch.tensor([[20, 45], [10, 12]])).abs().max() <= 2


def test_at_the_networks_own_size_nothing_is_resized(images):
    maps = NetworkSaliency(redness(), input_size=(40, 60), mean=(10, 20, 30), std=(2, 3, 4))(images)
    channels = (images.float() - torch.tensor([10.0, 20, 30]).view(3, 1, 1)) / torch.tensor([2.0, 3, 4]).view(3, 1, 1)
    plain = channels[:, 0] - channels[:, 1] - channels[:, 2] + 0.25
    least, most = plain.amin((1, 2), keepdim=True), plain.amax((1, 2), keepdim=True)
    torch.testing.assert_close(maps, (plain - least) / (most - least))


def test_the_users_network_is_left_as_it_was(images):
    network = redness().train()
    NetworkSaliency(network, **OPTIONS)(images)
    assert network.training and network.dropout.training


def test_a_registered_config_an_exported_program_and_a_module_agree(images, weights, tmp_path):
    registry = pytest.importorskip("mmengine.registry")
    exported = tmp_path / "network.pt2"
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(redness().eval(), (torch.zeros(2, 3, 32, 48),), dynamic_shapes=({0: batch},))
    torch.export.save(program, exported)
    registry.MODELS.register_module(name="RednessForTests", module=Redness, force=True)
    try:
        config = dict(type="NetworkSaliency", model=dict(type="RednessForTests"), weights=str(weights), **OPTIONS)
        maps = build_detector(config)(images)
    finally:
        registry.MODELS.module_dict.pop("RednessForTests")
    assert torch.equal(maps, NetworkSaliency(redness(), **OPTIONS)(images))
    assert torch.equal(maps, NetworkSaliency(Redness(), weights, **OPTIONS)(images))
    assert torch.equal(maps, NetworkSaliency(exported, **OPTIONS)(images))
    assert NetworkSaliency(exported, **OPTIONS)(images[:1]).shape == (1, 40, 60)


def test_weights_under_state_dict_are_taken(images, tmp_path):
    path = tmp_path / "checkpoint.pth"
    torch.save({"state_dict": redness().state_dict(), "meta": {"epoch": 3}}, path)
    assert torch.equal(
        NetworkSaliency(Redness(), path, **OPTIONS)(images), NetworkSaliency(redness(), **OPTIONS)(images)
    )


def test_the_first_of_several_outputs_is_taken(images):
    first = NetworkSaliency(redness(outputs=2), **OPTIONS)(images)
    assert torch.equal(first, NetworkSaliency(redness(), **OPTIONS)(images))


def test_a_sigmoid_changes_the_map_but_no_peak(images):
    linear, bent = (NetworkSaliency(redness(), sigmoid=sigmoid, **OPTIONS) for sigmoid in (False, True))
    assert not torch.equal(linear(images), bent(images))
    assert torch.equal(linear.peak(images), bent.peak(images))


def test_half_precision_is_close(images):
    full, half = (NetworkSaliency(redness(), half=half, **OPTIONS) for half in (False, True))
    difference = (full(images) - half(images)).abs().max()
    assert 0 < difference < 0.02


@pytest.mark.parametrize("value", [0.0, 7.5, float("nan"), float("inf")])
def test_a_constant_or_non_finite_map_gives_zeros(images, value):
    detector = NetworkSaliency(Gives(lambda inputs: torch.full((len(inputs), 1, 8, 8), value)))
    assert not detector(images).any()
    assert not detector.extreme(images, salient=True, pick=None)[1].any()


def test_nan_in_a_map_affects_only_its_own_image(images):
    def give(inputs):
        maps = inputs[:, :1].clone()
        maps[0, 0, 3, 3] = float("nan")
        return maps

    maps = NetworkSaliency(Gives(give), **OPTIONS)(images)
    assert not maps[0].any() and maps[1].max() == 1


def test_no_images_give_no_maps():
    assert NetworkSaliency(redness())(torch.zeros(0, 3, 9, 7, dtype=torch.uint8)).shape == (0, 9, 7)


class Trap:
    def __reduce__(self):
        return os.mkdir, (os.environ["SMIX_TRAP"],)


def test_weights_that_would_run_code_are_refused(images, tmp_path, monkeypatch):
    monkeypatch.setenv("SMIX_TRAP", str(tmp_path / "sprung"))
    path = tmp_path / "trap.pth"
    torch.save({"state_dict": redness().state_dict(), "extra": Trap()}, path)
    with pytest.raises(ValueError, match=r"trap.pth are refused: the file contains more than tensors"):
        NetworkSaliency(Redness(), path)(images)
    assert not (tmp_path / "sprung").exists()


def test_an_exported_program_whose_tensors_would_run_code_is_refused(images, tmp_path, monkeypatch):
    monkeypatch.setenv("SMIX_TRAP", str(tmp_path / "sprung"))
    good, bad, buffer = tmp_path / "good.pt2", tmp_path / "bad.pt2", io.BytesIO()
    torch.save(Trap(), buffer)
    torch.export.save(torch.export.export(redness().eval(), (torch.zeros(2, 3, 32, 48),)), good)
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w") as target:
        names = [name for name in source.namelist() if "sample_inputs" in name and name.endswith(".pt")]
        assert names
        for name in source.namelist():
            target.writestr(name, buffer.getvalue() if name in names else source.read(name))
    NetworkSaliency(good, **OPTIONS)(images)
    with pytest.raises(ValueError, match=r"bad.pt2 cannot be read"):
        NetworkSaliency(bad, **OPTIONS)(images)
    assert not (tmp_path / "sprung").exists()
    with contextlib.suppress(Exception):
        torch.export.load(str(bad))
    assert (tmp_path / "sprung").exists(), "without the guard the trap would not spring either"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("mix.bias"), r"not those of the network.*Missing key.*mix\.bias"),
        (lambda state: state.update(other=torch.zeros(1)), r"not those of the network.*Unexpected key.*other"),
        (lambda state: state.update({"mix.bias": torch.zeros(2)}), "not those of the network.*size mismatch"),
        (lambda state: state.update(epoch=3), "should be a state dict"),
    ],
)
def test_weights_that_do_not_fit_are_refused(images, tmp_path, change, message):
    state = dict(redness().state_dict())
    change(state)
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        NetworkSaliency(Redness(), path)(images)


def test_files_that_are_neither_models_nor_weights_are_refused(images, tmp_path):
    path = tmp_path / "text.pt2"
    path.write_text("no program")
    with pytest.raises(ValueError, match=r"text.pt2 cannot be read.*should be a file written by torch.export.save"):
        NetworkSaliency(path)(images)
    with pytest.raises(ValueError, match=r"text.pt2 (are refused|cannot be read)"):
        NetworkSaliency(Redness(), path)(images)


@pytest.mark.parametrize(
    ("give", "message"),
    [
        (lambda inputs: inputs, r"output for 2 images should be a map, .* got shape \(2, 3, 224, 224\)"),
        (lambda inputs: inputs[:1, :1], r"output for 2 images .* got shape \(1, 1, 224, 224\)"),
        (lambda inputs: inputs.mean((1, 2, 3)), r"output for 2 images .* got shape \(2,\)"),
        (lambda inputs: {"out": inputs}, "output for 2 images should be a map, .* got dict"),
    ],
)
def test_an_output_that_is_no_map_is_an_error(images, give, message):
    with pytest.raises(ValueError, match=message):
        NetworkSaliency(Gives(give))(images)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(model=3), TypeError, "model should be a config, .* got int"),
        (dict(model=dict(type="X")), ValueError, "weights should be a file .* if model is a config, got None"),
        (dict(model="nowhere.pt2"), FileNotFoundError, "model should be a file, got nowhere.pt2, which does not exist"),
        (dict(model=Redness(), weights="nowhere.pth"), FileNotFoundError, "weights should be a file, got nowhere.pth"),
        (dict(model=Redness(), input_size=(224,)), ValueError, r"input_size should be .* got \(224,\)"),
        (dict(model=Redness(), input_size=(0, 3)), ValueError, r"input_size should be .* got \(0, 3\)"),
        (dict(model=Redness(), std=(1, 0, 1)), ValueError, r"std should be three positive numbers, got \(1, 0, 1\)"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        NetworkSaliency(**arguments)


def test_a_model_that_is_not_registered_is_named(images, weights):
    pytest.importorskip("mmengine")
    with pytest.raises(ValueError, match=r"NoSuchNetwork.*cannot be built"):
        NetworkSaliency(dict(type="NoSuchNetwork"), weights)(images)
