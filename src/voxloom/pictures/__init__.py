"""Figures of batches, results, slices and the inside of networks."""
