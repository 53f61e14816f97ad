"""The configuration: its types, its names, and what each key changes."""
