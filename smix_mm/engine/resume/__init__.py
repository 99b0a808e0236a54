"""Exact resume: an interrupted run continues as if it had not been interrupted."""
