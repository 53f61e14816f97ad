"""From a trained model and the unlabeled pool to the next query."""
