"""The options of :func:`smix_mm.saliency_mix` as a class keeps them, checked before the first batch."""

from __future__ import annotations

from typing import Any

from ..utils.choices import check_option
from .functional import PER, check_alpha
from .patch import BORDERS
from .scheme import Scheme


def mix_options(
    alpha: float = 1.0,
    source: str = "salient",
    target: str = "corresponding",
    border: str = "shift",
    box_per: str = "sample",
    lam_per: str = "sample",
    ties: str = "first",
) -> dict[str, Any]:
    """These options of :func:`smix_mm.saliency_mix` by name, each checked.

    Raises:
        ValueError: an option has none of its values.
    """
    scheme = Scheme(source, target, ties)
    check_option("border", border, BORDERS)
    check_option("box_per", box_per, PER)
    check_option("lam_per", lam_per, PER)
    return dict(
        alpha=check_alpha(alpha),
        source=scheme.source,
        target=scheme.target,
        border=border,
        box_per=box_per,
        lam_per=lam_per,
        ties=scheme.ties,
    )
