"""What leaves a project or a run: its labels and its model."""
