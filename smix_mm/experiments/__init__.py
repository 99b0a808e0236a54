"""The rows of the paper's tables: the config and commands of each, its cost, and measured results."""

from .cost import Machine, plan_costs
from .listing import format_rows, list_experiments
from .rows import EXPERIMENTS, Experiment

__all__ = ["EXPERIMENTS", "Experiment", "Machine", "format_rows", "list_experiments", "plan_costs"]
