"""A run of a study, and the names of the files in its folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

STUDY = "study.json"
"""In the study's folder: what is compared, and the names of all runs."""

LOCK = ".lock"
"""In the study's folder: held by the process that runs the study."""

MARKER = "step.json"
LOG = "run.log"
CODE = "code.txt"
RESULT = "result.json"
BACKBONE = "backbone.pth"
DETECTIONS = "detections.npz"
CURVE = "curve.json"
PROVENANCE = "provenance.json"
FAILURE = "failure.json"

STALE = ".stale-"
"""In the name of a folder that was set aside; such a folder is no run."""

SHEET = "mixed.png"
PRETRAINING = "pretraining"
_NAME = re.compile(r"([^/]+)/(?:given|seed(\d+))/(?:pretraining|([^/]+)/seed(\d+))")


@dataclass(frozen=True)
class Run:
    """A pretraining with the export of its backbone, or a fine-tuning with its test.

    Attributes:
        arm: name of the arm.
        pretraining_seed: None for an arm that is a checkpoint.
        detector: name of the detector, or None for a pretraining.
        finetuning_seed: None for a pretraining.
    """

    arm: str
    pretraining_seed: int | None
    detector: str | None = None
    finetuning_seed: int | None = None

    @property
    def name(self) -> str:
        """Its folder in that of the study: ``ARM/seed0/pretraining`` or ``ARM/seed0/DETECTOR/seed1``.

        An arm that is a checkpoint has ``given`` in place of the pretraining's seed.
        """
        run = PRETRAINING if self.detector is None else f"{self.detector}/seed{self.finetuning_seed}"
        return f"{self.arm}/{'given' if self.pretraining_seed is None else f'seed{self.pretraining_seed}'}/{run}"

    @property
    def kind(self) -> str:
        """The detector's name, or ``'pretraining'``; runs of one kind take about the same time."""
        return self.detector or PRETRAINING

    @property
    def needs(self) -> Run | None:
        """The run whose backbone it starts from, or None."""
        return None if self.detector is None else Run(self.arm, self.pretraining_seed)

    def lock(self, folder: Path) -> Path:
        """The file of its lock, given the folder of the study."""
        return folder / f"{self.name}.lock"

    @staticmethod
    def parse(name: str) -> Run:
        """The run of a name.

        Raises:
            ValueError: it is not the name of a run.
        """
        found = _NAME.fullmatch(name)
        if found is None or STALE in name:
            raise ValueError(
                f"the name of a run should be ARM/seed0/pretraining or ARM/seed0/DETECTOR/seed1, got {name!r}."
            )
        arm, outer, detector, inner = found.groups()
        return Run(arm, None if outer is None else int(outer), detector, None if inner is None else int(inner))
