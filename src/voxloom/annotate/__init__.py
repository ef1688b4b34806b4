"""what to annotate, label and correct next: rank, pseudo, review."""
