"""Landmark runs: train on points, predict points, score them by distance. The same verbs and files as every other run."""
