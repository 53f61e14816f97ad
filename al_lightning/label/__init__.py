"""The labeling page: `python -m al_lightning.label photos`. Its server needs no PyTorch."""
