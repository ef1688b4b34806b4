"""What to annotate, label and mend next: rank, pseudo, review."""
