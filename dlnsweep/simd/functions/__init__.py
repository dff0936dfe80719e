"""Functions of vectors of float64 that processors have no instruction for."""
