"""Benchmarks on a CPU or a GPU, and ``make gpu``, which records tests and figures under ``results/gpu``."""
