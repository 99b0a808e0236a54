"""Errors whose message is the whole answer: a command line prints it as one sentence, without a traceback."""

from __future__ import annotations


class SmixError(Exception):
    """What a user can put right; every error class of this package that is meant for users derives from it.

    Attributes:
        exit_status: what a command line ends with.
    """

    exit_status = 2


class UsageError(SmixError, ValueError):
    """An argument or a setting of a config is not as it should be; the message says how to fix it."""


class CheckpointError(SmixError, ValueError):
    """A checkpoint that cannot be read, or does not hold what is expected."""


class DataError(SmixError, ValueError):
    """Images, annotations, predictions or result files are not as they should be; the message names the file."""


class LoadProofError(SmixError, RuntimeError):
    """The model does not hold the checkpoint's weights; the message lists what differs."""


class NonFiniteError(SmixError, RuntimeError):
    """A loss that is NaN or infinite; the message names the iteration, the losses and the files."""

    exit_status = 1


class StepError(SmixError, RuntimeError):
    """A step of a study's run failed; the message ends with the last lines of its log."""

    exit_status = 1


class PackageError(SmixError, ImportError):
    """A package that is needed is absent or does not import; the message names it and says how to fix it."""


class MissingOperatorError(SmixError, NotImplementedError):
    """An operator of mmcv that is not compiled was called; the message says how to get it."""

    exit_status = 1
