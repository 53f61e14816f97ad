"""Which run a configuration is: the settings that change its results, their fingerprint, and its folder."""

from hashlib import blake2b
from typing import Any

from al_lightning.config import data_root, effects, targets
from al_lightning.config.effects import canonical, leaves

FORMAT = 2  # of `config.yaml`; 1 had none, and hashed every value


def counted(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that change results at the values that they have, by dotted key.

    A data set that lies in `paths.data` may move, while a `dataset.root` elsewhere counts, however it is spelled. What
    a target is called may change, and where it lies.
    """
    data, root = settings["paths"]["data"], settings.get("moved_from") or settings["dataset"].get("root")
    if isinstance(root, str):
        inside = data_root.inside(data, root, data_root.lexical)
        root = str(data_root.lexical(root)) if inside is None else f"-/{inside}"
        settings = {**settings, "dataset": {**settings["dataset"], "root": root}}
    plain = public(replaced(settings, data, "-"))
    return {key: value for key, value in leaves(plain) if effects.counts(key, value)}


def fingerprint(settings: dict[str, Any]) -> str:
    """8 hex digits over every setting that changes results, at the values that differ from not being there.

    Args:
        settings: the resolved configuration, composed now or read from a run folder.
    """
    return blake2b(canonical(counted(settings)).encode(), digest_size=4).hexdigest()


def name(settings: dict[str, Any]) -> str:
    """The name of the folder of a run, `<dataset>-<model>-<strategy>-s<seed>-<fingerprint>`."""
    chosen = "-".join(settings[group]["name"] for group in ("dataset", "model", "strategy"))
    return f"{chosen}-s{settings['seed']}-{fingerprint(settings)}"


def replaced(value: Any, folder: str, by: str) -> Any:
    """A value, at any depth, with another folder in place of one that a text begins with."""
    if isinstance(value, dict):
        return {key: replaced(item, folder, by) for key, item in value.items()}
    if isinstance(value, list):
        return [replaced(item, folder, by) for item in value]
    inside = folder and isinstance(value, str) and f"{value}/".startswith(f"{folder}/")
    return by + value[len(folder) :] if inside else value


def public(value: Any) -> Any:
    """Settings, at any depth, with the targets by their short names, however they are spelled."""
    if isinstance(value, list):
        return [public(item) for item in value]
    if not isinstance(value, dict):
        return value
    named = isinstance(value.get("_target_"), str)
    return {key: public(item) for key, item in value.items()} | (
        {"_target_": targets.public(value["_target_"])} if named else {}
    )
