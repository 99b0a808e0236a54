"""Comparing what a config says in several places, before the first iteration."""

from .findings import CONTRADICTION, DOUBT, Finding, format_findings
from .preflight import preflight

__all__ = ["CONTRADICTION", "DOUBT", "Finding", "format_findings", "preflight"]
