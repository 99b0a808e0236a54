"""Every sample is augmented by its own numbers: workers, and what was read before, do not matter."""

import random

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset, ConcatDataset, DefaultSampler, InfiniteSampler, RepeatDataset
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset

from smix_mm.engine.resume.loops import SeededDataLoader, SeededDataset, seed_samples
from smix_mm.utils.random_state import seeded_cpu

SIZE = 11


class Draws(Dataset):
    """Sample ``index`` is (index, a draw of python, of numpy, of torch)."""

    factor = 1.0

    def __init__(self):
        self.read = []
        self.metainfo = dict(classes=("a", "b"))

    def full_init(self):
        pass

    def __len__(self):
        return SIZE

    def __getitem__(self, index):
        self.read.append(index)
        draws = [index, random.random(), np.random.rand(), torch.rand(()).item()]
        return torch.tensor(draws, dtype=torch.float64) * self.factor


class WholeBatches(Draws):
    def __getitems__(self, indices):
        self.read.append(tuple(indices))
        return [torch.tensor([index, np.random.rand()], dtype=torch.float64) for index in indices]


def loader(dataset=None, rank=0, seed=5, **options):
    dataset = Draws() if dataset is None else dataset
    options = dict(batch_size=3, sampler=DefaultSampler(dataset, seed=7)) | options
    made = DataLoader(dataset, **options)
    assert seed_samples(made, seed, rank)
    return made


def read(loader, epoch=0, skip=0):
    loader.sampler.set_epoch(epoch)
    return list(loader.read(epoch, skip))


def same(first, second):
    return len(first) == len(second) and all(map(torch.equal, first, second))


@pytest.mark.parametrize("workers, persistent", [(1, False), (2, False), (2, True)])
def test_the_number_and_the_life_of_workers_do_not_matter(workers, persistent):
    alone, helped = loader(), loader(num_workers=workers, persistent_workers=persistent)
    for epoch in (0, 1, 2):
        assert same(read(alone, epoch), read(helped, epoch))


def test_epochs_ranks_positions_and_seeds_have_draws_of_their_own():
    draws = [
        batch[:, 1:].flatten()
        for epoch in (0, 1)
        for rank in (0, 1)
        for seed in (5, 6)
        for batch in read(loader(rank=rank, seed=seed), epoch)
    ]
    values = torch.cat(draws)
    assert len(values.unique()) == len(values) == 8 * 3 * SIZE


def test_the_same_sample_twice_in_an_epoch_is_augmented_differently():
    twice = loader(sampler=[4, 4, 4], batch_size=1)
    first, second, third = list(twice.read(0))
    assert first[0, 0] == second[0, 0] == 4 and not torch.equal(first, second) and not torch.equal(second, third)


def test_what_is_skipped_is_not_read():
    whole = read(loader(), 1)
    rest = loader()
    assert same(read(rest, 1, skip=2), whole[2:])
    assert rest.dataset.read == [int(index) for batch in whole[2:] for index in batch[:, 0]]
    assert read(rest, 1, skip=4) == []
    assert same(read(rest, 1), whole)


def test_an_endless_sampler_goes_on_where_it_stood():
    def endless(skip):
        dataset = Draws()
        batches = loader(dataset, sampler=InfiniteSampler(dataset, seed=7)).read(0, skip)
        return [next(batches) for _ in range(8 - skip)]

    assert same(endless(0)[5:], endless(5))


def test_a_batch_sampler_of_the_projects_own_is_kept():
    class Evens(BatchSampler):
        def __iter__(self):
            yield from ([index for index in batch if index % 2 == 0] for batch in super().__iter__())

    dataset = Draws()

    def batches(skip, workers):
        own = Evens(DefaultSampler(dataset, seed=7), 4, False)
        return list(loader(dataset, batch_sampler=own, batch_size=1, sampler=None, num_workers=workers).read(0, skip))

    whole = batches(0, 0)
    assert sorted(int(index) for batch in whole for index in batch[:, 0]) == [0, 2, 4, 6, 8, 10]
    assert same(whole[1:], batches(1, 2))


def test_samples_without_batches_are_seeded_too():
    single = loader(batch_size=None)
    assert single.batch_sampler is None
    assert same(read(single, 1)[4:], read(single, 1, skip=4))


def test_a_dataset_that_reads_whole_batches_still_does():
    whole, helped = loader(WholeBatches()), loader(WholeBatches(), num_workers=2)
    first = read(whole, 1)
    assert [len(indices) for indices in whole.dataset.read] == [3, 3, 3, 2]
    assert same(first, read(helped, 1))
    assert same(first[2:], read(whole, 1, skip=2))
    assert len(torch.cat(first)[:, 1].unique()) == SIZE


def test_reading_leaves_the_process_s_own_draws_alone():
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    expected = random.random(), np.random.rand(), torch.rand(3), torch.initial_seed()
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    for workers in (0, 2):
        read(loader(num_workers=workers))
    found = random.random(), np.random.rand(), torch.rand(3), torch.initial_seed()
    assert found[:2] == expected[:2] and torch.equal(found[2], expected[2]) and found[3] == expected[3]


def test_an_error_in_a_dataset_leaves_them_alone_too():
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    with pytest.raises(RuntimeError, match="broken"), seeded_cpu((1, 2)):
        raise RuntimeError("broken")
    assert torch.equal(torch.rand(2), expected)


def test_hooks_find_the_plain_dataset_and_samplers_and_can_exchange_what_is_in_them():
    made = loader(num_workers=1, persistent_workers=True)
    dataset, batch_sampler = made.dataset, made.batch_sampler
    plain = read(made)
    for _ in made.read(0):
        assert made.dataset is dataset and made.batch_sampler is batch_sampler and type(dataset) is Draws
    made.dataset.factor = 2.0
    made._iterator = None  # what hooks that exchange a pipeline do to restart persistent workers
    assert same(read(made), [2 * batch for batch in plain])


class Listed(BaseDataset):
    def load_data_list(self):
        return [dict(number=number) for number in range(SIZE)]

    def prepare_data(self, index):
        return torch.tensor([self.get_data_info(index)["number"], np.random.rand()])


@pytest.mark.parametrize("wrap", [lambda: RepeatDataset(Listed(), 2), lambda: ConcatDataset([Listed(), Listed()])])
def test_mmengines_wrappers_of_datasets_are_seeded(wrap):
    batches = read(loader(wrap()))
    assert same(batches, read(loader(wrap(), num_workers=2)))
    assert len(torch.cat(batches)[:, 1].unique()) == 2 * SIZE


def test_a_seeded_dataset_answers_for_the_dataset():
    dataset = SeededDataset(Draws())
    assert len(dataset) == SIZE and dataset.metainfo["classes"] == ("a", "b")


def test_loaders_without_indices_or_of_another_class_are_left_as_they_are():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(range(4))

    class Own(DataLoader):
        pass

    for other in (DataLoader(Stream()), Own(Draws())):
        kind = type(other)
        assert not seed_samples(other, 0, 0) and type(other) is kind and not isinstance(other, SeededDataLoader)
