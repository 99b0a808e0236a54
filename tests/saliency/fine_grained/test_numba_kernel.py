"""The compiled kernel: threads, forked workers, and machines where it cannot be had."""

import logging
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from smix_mm.saliency import FineGrainedSaliency
from smix_mm.saliency.fine_grained import detector as kernels
from smix_mm.utils.errors import PackageError

numba = pytest.importorskip("numba")

from smix_mm.saliency.fine_grained import numba_kernel as cpu  # noqa: E402


@pytest.fixture
def three_threads(monkeypatch):
    """Three threads, and every image worth one."""
    monkeypatch.setattr(cpu, "PIXELS_PER_THREAD", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def batch(made_up_images) -> torch.Tensor:
    return torch.stack(list(made_up_images(40, 50).values()))


def test_each_image_goes_to_one_of_as_many_threads_as_torch_has(three_threads, batch):
    seen = []
    together = threading.Barrier(3, timeout=20)

    def kernel(images, numbers):
        together.wait()
        seen.append((threading.current_thread().name, numbers.tolist()))

    cpu._over_images(kernel, batch.numpy()[:10], np.arange(10))
    assert len({name for name, _ in seen}) == 3
    assert sorted(numbers for _, numbers in seen) == [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]


def test_few_pixels_use_one_thread(batch):
    calls = []
    cpu._over_images(lambda images: calls.append(len(images)), batch.numpy()[:2])
    assert calls == [2]


def test_threads_give_the_same_maps_and_leave_torchs_setting_alone(three_threads, batch):
    detector = FineGrainedSaliency("numba")
    definition = FineGrainedSaliency("torch")
    assert torch.equal(detector(batch), definition(batch))
    assert torch.equal(detector.peak(batch), definition.peak(batch))
    # numba's own threads would have set it to the number of cores.
    assert torch.get_num_threads() == 3


def test_calls_from_several_threads_do_not_disturb_each_other(three_threads, batch):
    detector = FineGrainedSaliency("numba")
    images = [batch.roll(shift, 3) for shift in range(12)]
    expected = [detector(each) for each in images]
    with ThreadPoolExecutor(4) as pool:
        assert all(map(torch.equal, pool.map(detector, images), expected))


class Peaks(Dataset):
    """Peaks found with three threads even in a worker, where torch sets one."""

    def __init__(self, batches: list[torch.Tensor]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> torch.Tensor:
        torch.set_num_threads(3)
        return FineGrainedSaliency("numba").peak(self.batches[index])


@pytest.mark.timeout(60)
def test_works_in_a_forked_worker_after_its_threads_were_used_in_the_parent(three_threads, batch):
    peaks = Peaks([batch.roll(shift, 2) for shift in range(4)])
    expected = [peaks[index] for index in range(4)]
    loader = DataLoader(peaks, batch_size=None, num_workers=2, multiprocessing_context="fork", timeout=50)
    assert all(map(torch.equal, loader, expected))


def test_without_numba_the_definition_is_used_and_one_warning_logged(monkeypatch, caplog, batch):
    monkeypatch.delattr("smix_mm.saliency.fine_grained.numba_kernel")
    monkeypatch.setitem(sys.modules, "smix_mm.saliency.fine_grained.numba_kernel", None)
    kernels.cpu_kernel.cache_clear()
    try:
        with caplog.at_level(logging.INFO, logger="smix_mm"):
            detector = FineGrainedSaliency()
            for _ in range(2):
                assert torch.equal(detector(batch), FineGrainedSaliency("torch")(batch))
        assert [record.name for record in caplog.records] == ["smix_mm"]
        assert "numba" in caplog.text
        with pytest.raises(PackageError, match="pip install numba"):
            FineGrainedSaliency("numba")(batch)
    finally:
        kernels.cpu_kernel.cache_clear()


def test_machine_code_is_cached_on_disk():
    folder = Path(cpu._maps.stats.cache_path)
    assert list(folder.glob("numba_kernel._maps*.nbi")) and list(folder.glob("numba_kernel._extremes*.nbi"))


@pytest.mark.parametrize("error", [RuntimeError("cannot cache function"), OSError("no space left")])
def test_compiles_where_the_disk_cache_is_not_writable(monkeypatch, error):
    compile_ = numba.njit

    def without_disk(*args, cache=False, **options):
        if cache:
            raise error
        return compile_(*args, **options)

    monkeypatch.setattr(numba, "njit", without_disk)
    assert cpu._compiled("int64(int64)")(lambda number: number + 1)(4) == 5
