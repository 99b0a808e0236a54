"""The report of a study, from its result files alone."""

from .write import report_study

__all__ = ["report_study"]
