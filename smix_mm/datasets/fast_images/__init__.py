"""Photographs fast enough for a GPU: a short pipeline in the workers, and the rest by batch on the training device."""
