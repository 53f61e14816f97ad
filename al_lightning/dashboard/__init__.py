"""The comparison of runs in Weights & Biases: `python -m al_lightning.dashboard DIR...`."""
