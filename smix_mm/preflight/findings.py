"""What a preflight finds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Sequence

CONTRADICTION, DOUBT = "contradiction", "doubt"


@dataclass(frozen=True)
class Finding:
    """One place where a config contradicts itself, its data or its checkpoint.

    Attributes:
        level: ``'contradiction'``, which stops a training, or ``'doubt'``, which is a warning.
        setting: dotted name of the setting that is wrong, as ``--cfg-options`` takes it.
        problem: what was found, and what it was compared with.
        fix: what to change.
    """

    level: str
    setting: str
    problem: str
    fix: str


contradiction, doubt = partial(Finding, CONTRADICTION), partial(Finding, DOUBT)


def format_findings(findings: Sequence[Finding]) -> str:
    """A line a finding, contradictions first, and the count of both at the end."""
    ordered = sorted(findings, key=lambda finding: finding.level)
    lines = [f"{finding.level}: {finding.setting}: {finding.problem}; {finding.fix}" for finding in ordered]
    counts = [(sum(finding.level == level for finding in findings), level) for level in (CONTRADICTION, DOUBT)]
    total = ", ".join(f"{number} {level}{'' if number == 1 else 's'}" for number, level in counts)
    return "\n".join([*lines, f"preflight: {total}"])
