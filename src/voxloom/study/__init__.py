"""Studies: recipes and runs. A run is a folder that people can read."""
