"""A data set in the memory of the training device, for trainings whose GPU would wait for images."""
