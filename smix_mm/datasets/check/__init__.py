"""Checking data before a training, a cleaned copy of it, and strict loading during the training."""

from .checker import Checked, check_data
from .clean import write_clean_copy
from .findings import Report

__all__ = ["Checked", "Report", "check_data", "write_clean_copy"]
