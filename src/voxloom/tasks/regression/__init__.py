"""Regression: one or several numbers for every case."""
