"""The rows of the paper's tables: the config and commands of each, its cost, and measured results."""

from .listing import format_rows, list_experiments
from .rows import EXPERIMENTS, Experiment

__all__ = ["EXPERIMENTS", "Experiment", "format_rows", "list_experiments"]
