"""SaliencyMix in Lightning's training loop."""

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from smix_mm.mixing.transforms import SaliencyMixCollate, SaliencyMixTransform

pl = pytest.importorskip("pytorch_lightning", reason="Lightning is not installed: pip install pytorch-lightning")
CLASSES, SAMPLES = 4, 24


def loader(collate=None) -> DataLoader:
    pixels = torch.randint(0, 256, (SAMPLES, 3, 24, 31), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return DataLoader(TensorDataset(pixels / 255, torch.arange(SAMPLES) % CLASSES), batch_size=8, collate_fn=collate)


class Classifier(pl.LightningModule):
    """Records the targets of its training; ``mix`` mixes a batch after its transfer to the device."""

    def __init__(self, mix: torch.nn.Module | None = None) -> None:
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(CLASSES))
        self.mix = mix
        self.seen: list[torch.Tensor] = []

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return self.mix(*batch) if self.mix is not None and self.trainer.training else batch

    def training_step(self, batch, index):
        images, targets = batch
        self.seen.append(targets)
        return torch.nn.functional.cross_entropy(self.net(images), targets)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)


def fit(model: Classifier, data: DataLoader, folder) -> torch.Tensor:
    pl.seed_everything(1, workers=True)
    model.net(torch.zeros(1, 3, 24, 31))
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(model, data)
    return torch.cat(model.seen)


@pytest.mark.parametrize("where", ["in the loader", "after the transfer"])
def test_lightning_trains_on_mixed_batches_reproducibly(where, tmp_path):
    def run() -> torch.Tensor:
        if where == "in the loader":
            return fit(Classifier(), loader(SaliencyMixCollate(CLASSES)), tmp_path)
        return fit(Classifier(SaliencyMixTransform(CLASSES)), loader(), tmp_path)

    targets = run()
    assert targets.shape == (SAMPLES, CLASSES) and bool(((targets > 0) & (targets < 1)).any())
    torch.testing.assert_close(targets.sum(1), torch.ones(SAMPLES))
    assert torch.equal(run(), targets)
