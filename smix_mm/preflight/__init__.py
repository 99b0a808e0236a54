"""Comparing what a config states in several places, before the first iteration."""

from .findings import CONTRADICTION, DOUBT, Finding, format_findings
from .preflight import preflight, preflight_data

__all__ = ["CONTRADICTION", "DOUBT", "Finding", "format_findings", "preflight", "preflight_data"]
