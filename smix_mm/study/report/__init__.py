"""The report of a study, from its result files alone."""

from .results import ResultsError, read_results
from .write import SHEET, report_study

__all__ = ["SHEET", "ResultsError", "read_results", "report_study"]
