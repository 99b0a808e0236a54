"""What several packages share and nothing heavier than the standard library is needed for."""
