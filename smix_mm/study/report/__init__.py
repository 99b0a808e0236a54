"""The report of a study, from its result files alone."""

from .results import ResultsError, read_results
from .write import report_study

__all__ = ["ResultsError", "read_results", "report_study"]
