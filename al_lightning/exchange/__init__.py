"""Labels out of a project or a run, and into a project, in the formats of other programs. Needs no PyTorch."""
