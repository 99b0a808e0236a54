"""Values of options, in a module without heavy imports so that a command line can list them at once."""

from __future__ import annotations

from .errors import UsageError

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")

NONFINITE_ACTIONS = ("stop", "skip")

ATTACKS = ("fgsm", "pgd", "apgd")

CORRUPTIONS = (
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur",
    "snow", "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression",
)  # fmt: skip


def check_option(name: str, value: object, expected: tuple[str, ...]) -> None:
    """Raise a :class:`~smix_mm.utils.errors.UsageError`, a ValueError, unless ``value`` is one of ``expected``."""
    if value not in expected:
        raise UsageError(f"{name} should be one of {', '.join(map(repr, expected))}, got {value!r}")


def check_minimum(name: str, value: int | None, minimum: int) -> None:
    """Raise a UsageError if ``value`` is a number below ``minimum``."""
    if value is not None and value < minimum:
        raise UsageError(f"{name} should be at least {minimum}, got {value}.")
