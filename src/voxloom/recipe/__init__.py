"""The Recipe: one YAML file that decides a run, its keys, and the recipes that ship."""
