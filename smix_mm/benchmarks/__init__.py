"""What is run on a machine with a GPU, and the figures that it leaves under ``results/gpu``."""
