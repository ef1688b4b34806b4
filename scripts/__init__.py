"""What makes pages of the docs from notebooks."""
