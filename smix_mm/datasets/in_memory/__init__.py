"""A data set held in memory, for trainings whose GPU waits for images."""
