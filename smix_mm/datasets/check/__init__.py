"""Checking data before a training, a clean copy of them, and strict loading while it runs."""
