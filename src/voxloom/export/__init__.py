"""A run for other programs: MONAI bundles, archives to share."""
