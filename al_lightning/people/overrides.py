"""Which settings of a run the learner takes. Needs no PyTorch: the command refuses others before anything starts."""

from collections.abc import Sequence

from al_lightning.errors import ConfigError

FREE = (
    *("dataset.", "embedding.", "strategy.", "optimizer.", "paths.data", "trainer.accelerator", "seed"),
    *("al.mc_samples", "al.n_clusters", "al.scoring_precision", "model.dropout"),
)
OWN = (
    "dataset.root",
    "dataset.labels",
    "dataset.classes",
    "dataset.ids",
    "dataset.test_fraction",
    "optimizer._target_",
)


def check(overrides: Sequence[str]) -> None:
    """Refuse settings that would not do what they do in a run.

    Raises:
        ConfigError: names one, and those that there are.
    """
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        is_free = any(key == each or (each.endswith(".") and key.startswith(each)) for each in FREE)
        if not value or not is_free or key in OWN:
            known = ", ".join(each.rstrip(".") for each in FREE)
            raise ConfigError(
                f"{override}: the learner of a project takes KEY=VALUE of {known}, but for {', '.join(OWN)}; "
                "what chooses is --strategy, the features are --embedding; a folder with spaces needs quotes"
            )
