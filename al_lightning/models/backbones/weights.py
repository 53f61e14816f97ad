"""Weights that somebody else has trained."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from hashlib import blake2b, file_digest
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast
from urllib.error import URLError

from torch import Tensor, nn

from al_lightning.contract import out_of_memory
from al_lightning.errors import ConfigError, DataError


@contextmanager
def weights_for(key: str, instead: str = "") -> Iterator[None]:
    """Say whose weights cannot be had; libraries raise all kinds of errors for that.

    Args:
        key: of the configuration that names the network, with its value.
        instead: what else to type.

    Raises:
        DataError: they are neither on disk nor downloadable.
    """
    try:
        yield
    except (URLError, OSError, RuntimeError, EOFError, UnpicklingError) as error:
        if out_of_memory(error):
            raise
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:200].rstrip('.')}"
        raise DataError(f"{key}: no weights: {why}{f'; without a network: {instead}' if instead else ''}") from error


def digest(node: Mapping[str, Any]) -> str | None:
    """16 hex digits of the file of weights that a model starts from; None where there is none.

    Args:
        node: settings of the model.
    """
    file = Path(str(node.get("weights") or "")).expanduser()
    if not file.is_file():
        return None
    with file.open("rb") as opened:
        return file_digest(opened, lambda: blake2b(digest_size=8)).hexdigest()


def fill(
    network: nn.Module,
    file: str,
    key: str,
    name: str,
    convert: Callable[[str, Tensor], Tensor] = lambda each, tensor: tensor,
) -> None:
    """Fill a network from a file in safetensors; what it has for layers that are not there, its last ones, is left.

    Args:
        network: without its last layer.
        file: its path.
        key: of the configuration that names the file, for messages.
        name: of the network, likewise.
        convert: what the network takes of a tensor of the file, from its name and itself.

    Raises:
        DataError: the file cannot be read.
        ConfigError: it lacks what the network has, or has it in another shape.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(file).expanduser()
    key = f"{key}={path}"
    try:
        given = {each: convert(each, tensor) for each, tensor in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise DataError(f"{key}: cannot be read: {error}") from error
    state = cast(Mapping[str, Tensor], network.state_dict())
    if missing := [each for each in state if each not in given and not each.endswith("num_batches_tracked")]:
        near = get_close_matches(missing[0], given, n=1)
        hint = f"; it has {near[0]}" if near else ""
        raise ConfigError(f"{key}: is not of {name}: it lacks {len(missing)} tensors, the first {missing[0]}{hint}")
    for each, tensor in state.items():
        if each in given and given[each].shape != tensor.shape:
            wanted, found = (list(shape) for shape in (tensor.shape, given[each].shape))
            raise ConfigError(f"{key}: is not of {name}: its {each} is {found} and has to be {wanted}")
    network.load_state_dict({each: given.get(each, tensor).to(tensor.dtype) for each, tensor in state.items()})
