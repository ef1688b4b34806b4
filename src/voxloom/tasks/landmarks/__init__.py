"""Landmarks: points in RAS mm, with a level and perhaps a side."""
