"""Landmark training: patches with painted targets, the module, validation by distance, and one fold from start to end."""
