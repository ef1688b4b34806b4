"""The Run: a folder that people can read; its files, its cases, and the guard over who may be tested. No verbs."""
