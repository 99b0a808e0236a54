"""The report of a study, from its result files alone."""

from ...utils.errors import DataError
from .results import read_results
from .write import SHEET, report_study

__all__ = ["SHEET", "DataError", "read_results", "report_study"]
