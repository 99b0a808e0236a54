"""Errors that are told apart by callers which import nothing of what raises them."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, or does not hold what is wanted."""
