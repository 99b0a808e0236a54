"""What the papers report for detectors, to set beside.

Mean average precision on the VOC 2007 test set of a Faster R-CNN with ResNet-50, by how the backbone
was pretrained on ImageNet. Sources: the object detection tables of Uddin et al., SaliencyMix, ICLR
2021 (mean of 3 runs, no deviation given), and of Yun et al., CutMix, ICCV 2019 (its own protocol).
"""

from __future__ import annotations

from .document import Table

SALIENCYMIX_PAPER = {"baseline": 76.71, "Cutout": 77.17, "Mixup": 77.98, "CutMix": 78.31, "SaliencyMix": 78.48}
CUTMIX_PAPER = {"baseline": 75.6, "Cutout": 75.0, "Mixup": 73.9, "CutMix": 76.7}


def published_table() -> Table:
    """Both tables, with the gains over their own baselines."""
    rows = []
    for name in SALIENCYMIX_PAPER:
        cells = [name]
        for table, digits in ((SALIENCYMIX_PAPER, 2), (CUTMIX_PAPER, 1)):
            value, reference = table.get(name), table["baseline"]
            gain = "" if value is None or name == "baseline" else f"{value - reference:+.{digits}f}"
            cells += ["–" if value is None else f"{value:.{digits}f}", gain]
        rows.append(cells)
    return Table(["pretraining", "SaliencyMix paper, 3 runs", "gain", "CutMix paper", "gain"], rows)
