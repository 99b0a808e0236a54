"""Comparing what a config states in several places, before the first iteration."""

from .preflight import preflight, preflight_data
from .settings import CONTRADICTION, DOUBT, Finding, format_findings

__all__ = ["CONTRADICTION", "DOUBT", "Finding", "format_findings", "preflight", "preflight_data"]
