"""Networks in ONNX files: the maps of a plain numpy pipeline; files that are no such network are errors."""

import hashlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from smix_mm.saliency import NetworkSaliency
from smix_mm.utils.constants import IMAGENET_MEAN, IMAGENET_STD
from smix_mm.utils.errors import PackageError

SIZE = (12, 18)


@pytest.fixture(scope="module", params=[None, 1, 2], ids=["any number", "one image", "two images"])
def network(request, tmp_path_factory) -> Path:
    """A network of two outputs: the red channel, and the green one."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    return write(onnx, tmp_path_factory.mktemp("onnx") / "network.onnx", [request.param or "batch", 3, *SIZE])


def write(onnx, path: Path, shape: list, channels: int = 2, inputs: int = 1) -> Path:
    make, number = onnx.helper, onnx.TensorProto.FLOAT
    names = [f"image{index}" for index in range(inputs)]
    places = [onnx.numpy_helper.from_array(np.array([place]), f"place{place}") for place in range(4)]
    nodes = [
        make.make_node("Slice", [names[0], f"place{index}", f"place{index + 1}", "place1"], [f"map{index}"])
        for index in range(channels)
    ]
    outputs = [make.make_tensor_value_info(f"map{i}", number, [shape[0], 1, *shape[2:]]) for i in range(channels)]
    given = [make.make_tensor_value_info(name, number, shape) for name in names]
    graph = make.make_graph(nodes, "channels", given, outputs, places)
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (4, 3, *SIZE), dtype=torch.uint8, generator=generator)
    noise[1] //= 3  # a darker image, whose maximum is not 255
    return noise


@pytest.mark.parametrize("divide_by_max", [False, True])
def test_maps_are_those_of_a_plain_numpy_pipeline(network, images, divide_by_max):
    mean, std = np.float32([123.675, 116.28, 103.53]), np.float32([58.395, 57.12, 57.375])
    options = dict(input_size=SIZE, mean=mean.tolist(), std=std.tolist(), divide_by_max=divide_by_max)
    maps = NetworkSaliency(network, **options)(images)
    for image, found in zip(images.numpy().astype(np.float32), maps.numpy()):
        if divide_by_max:
            image = image * (np.float32(255) / image.max())
        channel = ((image - mean[:, None, None]) / std[:, None, None])[0]
        assert np.array_equal(found, (channel - channel.min()) / (channel.max() - channel.min()))


def test_each_image_is_divided_by_its_own_maximum(images, network):
    """A map of channel values scaled to a unit range does not show it, so the network's input is looked at."""
    detector = NetworkSaliency(network, input_size=SIZE, mean=(0, 0, 0), std=(255, 255, 255), divide_by_max=True)
    given = []
    detector(images)
    detector.network.register_forward_hook(lambda module, inputs, outputs: given.append(inputs[0]))
    detector(images)
    assert torch.equal(given[0].amax((1, 2, 3)), torch.ones(4))


def test_the_file_is_known_by_its_hash(network):
    expected = {"model": hashlib.sha256(network.read_bytes()).hexdigest()}
    assert NetworkSaliency(network, input_size=SIZE).file_hashes() == expected


def test_a_file_that_is_no_such_network_is_an_error(images, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    text = tmp_path / "text.onnx"
    text.write_text("no network")
    with pytest.raises(ValueError, match=r"text.onnx cannot be read: [A-Z]\w+: .*; it should be an ONNX file"):
        NetworkSaliency(text)(images)
    small = write(onnx, tmp_path / "small.onnx", [1, 3, *SIZE])
    with pytest.raises(
        ValueError, match=r"one input, tensor\(float\) \(N, 3, 224, 224\), got .*12, 18\); set input_size"
    ):
        NetworkSaliency(small)(images)
    grey = write(onnx, tmp_path / "grey.onnx", [1, 1, *SIZE], channels=1)
    with pytest.raises(ValueError, match=r"\(N, 3, 12, 18\), got tensor\(float\) \(1, 1, 12, 18\)"):
        NetworkSaliency(grey, input_size=SIZE)(images)
    two = write(onnx, tmp_path / "two.onnx", [1, 3, *SIZE], inputs=2)
    with pytest.raises(ValueError, match=r"should have one input, .* got tensor\(float\) .*, tensor\(float\)"):
        NetworkSaliency(two, input_size=SIZE)(images)
    pair = write(onnx, tmp_path / "pair.onnx", [2, 3, *SIZE])
    with pytest.raises(ValueError, match="takes 2 images at a time, got 3"):
        NetworkSaliency(pair, input_size=SIZE)(images[:3])


def test_without_onnxruntime_the_error_names_the_extra(images, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    path = tmp_path / "network.onnx"
    path.write_bytes(b"")
    with pytest.raises(PackageError, match=r"network.onnx needs onnxruntime, .* pip install onnxruntime"):
        NetworkSaliency(path)(images)


def test_u2netp_with_its_released_weights_finds_what_its_own_pipeline_finds(smix_data):
    """On photographs of the network's own size: divided by the maximum, ImageNet's mean and std, scaled from 0 to 1."""
    path = os.environ.get("SMIX_U2NETP")
    if not path:
        pytest.skip("SMIX_U2NETP does not name u2netp.onnx; docs/saliency_networks.md has the commands that get it")
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(path)
    detector = NetworkSaliency(path, input_size=(320, 320), divide_by_max=True)
    for file in sorted((smix_data / "imagenet-samples").glob("*.JPEG"))[::6]:
        photograph = np.array(Image.open(file).convert("RGB").resize((320, 320), Image.LANCZOS))
        normalized = (photograph / photograph.max() - np.divide(IMAGENET_MEAN, 255)) / np.divide(IMAGENET_STD, 255)
        given = normalized.transpose(2, 0, 1)[None].astype(np.float32)
        expected = session.run(None, {session.get_inputs()[0].name: given})[0][0, 0]
        expected = (expected - expected.min()) / (expected.max() - expected.min())
        found = detector(torch.from_numpy(photograph).permute(2, 0, 1)[None])[0].numpy()
        assert np.abs(found - expected).max() < 1e-3, file.name
        assert 0.01 < (found > 0.5).mean() < 0.9, file.name
