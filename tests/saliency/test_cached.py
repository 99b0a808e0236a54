"""Maps kept in a folder: those of the detector, computed once, and never those of another image or setting."""

import os
import shutil

import pytest
import torch
from torch import nn

from smix_mm.saliency import CachedSaliency, FineGrainedSaliency, FrequencyTunedSaliency, build_detector


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(0, 256, (5, 3, 16, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def computed(monkeypatch) -> list[int]:
    """The number of images in each call of the detector."""
    calls: list[int] = []
    for kind in (FineGrainedSaliency, FrequencyTunedSaliency):
        whole = kind.saliency

        def count(self, seen, whole=whole):
            calls.append(len(seen))
            return whole(self, seen)

        monkeypatch.setattr(kind, "saliency", count)
    return calls


def cached(folder, kind: str = "FineGrainedSaliency", **options) -> CachedSaliency:
    return build_detector(dict(type="CachedSaliency", detector=dict(type=kind, **options), folder=str(folder)))


def test_a_map_is_computed_once_for_this_and_later_runs(images, computed, tmp_path):
    expected = FrequencyTunedSaliency()(images)
    assert torch.equal(cached(tmp_path, "FrequencyTunedSaliency")(images[:3]), expected[:3])
    assert torch.equal(cached(tmp_path, "FrequencyTunedSaliency")(images.flip(0)), expected.flip(0))
    assert computed == [5, 3, 2]
    strided = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    detector = cached(tmp_path, "FrequencyTunedSaliency")
    assert torch.equal(detector.peak(strided), FrequencyTunedSaliency().peak(images)) and computed[3:] == [5]
    assert len([name for _, _, names in os.walk(tmp_path) for name in names]) == 5


def test_another_detector_setting_file_or_image_has_its_own_map(images, computed, tmp_path):
    cached(tmp_path)(images)
    cached(tmp_path, backend="torch")(images)
    cached(tmp_path, "FrequencyTunedSaliency")(images)
    cached(tmp_path)(images ^ 1)
    turned = images.transpose(2, 3).contiguous()
    assert torch.equal(cached(tmp_path)(turned), FineGrainedSaliency()(turned))
    assert computed[:5] == [5] * 5
    assert len({path.parent.parent for path in tmp_path.rglob("*.npy")}) == 3


def test_the_networks_weights_are_part_of_the_setting(tmp_path):
    programs = []
    for bias in (0.0, 1.0):
        layer = nn.Conv2d(3, 1, 1)
        nn.init.constant_(layer.bias, bias)
        torch.export.save(torch.export.export(layer.eval(), (torch.zeros(1, 3, 8, 8),)), tmp_path / "network.pt2")
        programs.append(cached(tmp_path / "maps", "NetworkSaliency", model=str(tmp_path / "network.pt2")).folder)
    assert programs[0] != programs[1]


def test_a_damaged_map_is_computed_again_and_no_temporary_file_is_left(images, computed, tmp_path):
    expected = cached(tmp_path)(images)
    files = sorted(tmp_path.rglob("*.npy"))
    files[0].write_bytes(files[0].read_bytes()[:-7])
    files[1].write_bytes(b"")
    files[2].write_text("no map")
    assert torch.equal(cached(tmp_path)(images), expected) and computed == [5, 3]
    assert torch.equal(cached(tmp_path)(images), expected) and computed == [5, 3]
    shutil.rmtree(files[0].parents[1])
    assert torch.equal(cached(tmp_path)(images), expected)
    assert not list(tmp_path.rglob(".*"))


def test_no_images_give_no_maps(tmp_path):
    assert cached(tmp_path)(torch.zeros(0, 3, 9, 7, dtype=torch.uint8)).shape == (0, 9, 7)


def test_a_detector_without_a_config_of_plain_values_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"detector should be a config such as dict\(type='NetworkSaliency'"):
        CachedSaliency(FineGrainedSaliency(), tmp_path)
    with pytest.raises(TypeError, match="plain values only.*Conv2d is not JSON serializable"):
        CachedSaliency(dict(type="NetworkSaliency", model=nn.Conv2d(3, 1, 1)), tmp_path)
