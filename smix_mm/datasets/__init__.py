"""Fetching, checking and reading data."""
