"""Exact resume: a run that was stopped anywhere goes on as if it had not been."""
