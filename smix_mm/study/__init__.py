"""Studies: several pretrainings, the same detectors, several seeds, and a comparison."""
