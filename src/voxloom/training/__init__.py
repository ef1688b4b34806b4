"""Training: the plan, the patches, the Lightning module and what happens around its steps. Knows no recipe or run."""
