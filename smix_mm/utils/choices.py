"""Values that an option can take, apart from the modules that act on them, so that a parser lists them at once."""

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")

NONFINITE_ACTIONS = ("stop", "skip")

ATTACKS = ("fgsm", "pgd", "apgd")

CORRUPTIONS = (
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur",
    "snow", "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression",
)  # fmt: skip
