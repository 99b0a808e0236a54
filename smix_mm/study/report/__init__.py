"""The report of a study, from its result files alone."""

from .write import SHEET, report_study

__all__ = ["SHEET", "report_study"]
