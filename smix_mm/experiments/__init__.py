"""The rows of the paper's tables: what reproduces each, what it costs, and what it gave."""

from .listing import format_rows, list_experiments
from .rows import EXPERIMENTS, Experiment

__all__ = ["EXPERIMENTS", "Experiment", "format_rows", "list_experiments"]
