"""Deep active learning on images: Hydra configures it, Lightning trains it, Weights & Biases shows it."""

__version__ = "0.1.0"
