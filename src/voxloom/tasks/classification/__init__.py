"""Classification: one of several classes, or several findings, for every case."""
