"""Errors meant for users: a command line prints their message without a traceback."""

from __future__ import annotations


class SmixError(Exception):
    """Base class of the errors that a user can fix.

    Attributes:
        exit_status: Exit status of a command line that ends with this error.
    """

    exit_status = 2


class UsageError(SmixError, ValueError):
    """An argument or a setting of a config is invalid; the message says how to fix it."""


class CheckpointError(SmixError, ValueError):
    """A checkpoint cannot be read or lacks something."""


class DataError(SmixError, ValueError):
    """Images, annotations, predictions or result files are invalid; the message names the file."""


class LoadProofError(SmixError, RuntimeError):
    """The model does not hold the checkpoint's weights; the message lists the differences."""


class NonFiniteError(SmixError, RuntimeError):
    """A loss is NaN or infinite; the message names the iteration, the losses and the files."""

    exit_status = 1


class StepError(SmixError, RuntimeError):
    """A step of a study's run failed; the message ends with the last lines of its log."""

    exit_status = 1


class PackageError(SmixError, ImportError):
    """A required package is missing or cannot be imported; the message names it and says how to fix it."""


class MissingOperatorError(SmixError, NotImplementedError):
    """An mmcv operator was called that is not compiled; the message says how to compile it."""

    exit_status = 1
