"""The one way from a configuration node to an object.

A configuration may come from anywhere, and `_target_` can name any function of any package: so only those listed
here are called, and those of packages that the user names in the environment, outside the configuration.
"""

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, get_type_hints

import hydra.utils
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from al_lightning.config import targets
from al_lightning.config.limits import check_parts
from al_lightning.contract import ALLOW_VARIABLE, out_of_memory, own_packages, told
from al_lightning.errors import ConfigError, UserError

EXACT = frozenset(
    {
        "pytorch_lightning.Trainer",
        "al_lightning.tracking.wandb_mirror.WandbMirror",
    }
)
# Rooms of this package: what their modules define, and does not start with an underscore, is meant to be a target.
ROOMS = tuple(
    f"al_lightning.{room}"
    for room in ("acquisition", "models.backbones", "models.convex", "data", "embedding", "oracle")
)
# Modules of libraries, and the class that what is called of them has to be a subclass of.
LIBRARIES = {
    "torch.optim": "Optimizer",
    "pytorch_lightning.loggers": "Logger",
    "pytorch_lightning.callbacks": "Callback",
}
# Keys of a node that are the framework's: its name, and what is done to its batches, features and kernels.
FRAMEWORK_KEYS = {"name", "augment", "dropout", "live_taps", "members", "ensemble", "sampling"}


def instantiate(key: str, node: Any, *, partial: bool = False, returns: type = object, **runtime: Any) -> Any:
    """Call the target of a node, or bind its arguments for later.

    Args:
        key: where the node is in the configuration, for messages.
        node: the resolved node, a plain dictionary.
        partial: whether the target is to be called later; the node says so too, with `_partial_: true`.
        returns: what the target has to return.
        **runtime: arguments that come from the program and not from the configuration.

    Returns:
        What the target returns, or a `functools.partial` of it.

    Raises:
        ConfigError: a target that is not allowed, an argument it does not have or of the wrong type, or arguments
            that it refuses.
    """
    option = node.get("name")
    node = {name: value for name, value in node.items() if name not in FRAMEWORK_KEYS}
    check_targets(key, node)
    node = targets.all_located(node)
    if node.get("_partial_", False) is not partial:
        raise ConfigError(f"{key}._partial_={node.get('_partial_')}: must be {str(partial).lower()} here")
    _check_arguments(key, node, runtime)
    call = hydra.utils.instantiate({**node, "_partial_": True, "_convert_": "all"})
    if partial:
        return call
    with refusals(key, {**node, "name": option}):
        made = call(**runtime)
    if not isinstance(made, returns):
        raise ConfigError(
            f"{key}._target_={node['_target_']}: returns {type(made).__name__}, but {key} needs {returns.__name__}"
        )
    return made


@contextmanager
def refusals(key: str, node: Mapping[str, Any]) -> Iterator[None]:
    """Turn what a target says of its arguments into a message that names them.

    Raises:
        ConfigError: where a TypeError, a ValueError or Lightning's MisconfigurationException was raised; and whatever
            a target of the user's own raises, with its file and line.
    """
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    target = node["_target_"]
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        if target.partition(".")[0] in own_packages():
            raise ConfigError(f"{key}={node['name']}: {target}: {told(error)}") from error
        if not isinstance(error, TypeError | ValueError | MisconfigurationException):
            raise
        raise ConfigError(f"{as_typed(key, node)}: {target} refuses: {error}") from error


def as_typed(key: str, node: Mapping[str, Any]) -> str:
    """The settings of a node, as they are given on the command line."""
    given = [
        as_typed(f"{key}.{name}", value) if isinstance(value, Mapping) else f"{key}.{name}={value}"
        for name, value in node.items()
        if name[0] != "_" and name != "name"
    ]
    return " ".join(given) or key


def check_targets(key: str, node: Any) -> None:
    """Refuse a node, at any depth, whose `_target_` is not on the list.

    Raises:
        ConfigError: names the key and the target.
    """
    if isinstance(node, Mapping):
        if "." not in key and "_target_" not in node:
            raise ConfigError(f"{key}._target_: missing; it names what the settings of {key} are for")
        check_parts(f"{key}._target_", str(node.get("_target_")))  # a module's name becomes a file's
        if "_target_" in node and (why := _refused(targets.located(str(node["_target_"])))):
            raise ConfigError(f"{key}._target_={node['_target_']}: {why}")
        for name, value in node.items():
            check_targets(f"{key}.{name}", value)
    elif isinstance(node, list | tuple):
        for position, value in enumerate(node):
            check_targets(f"{key}[{position}]", value)


def _refused(target: object) -> str:
    """Why a target is not called; empty for one that is."""
    foreign = (
        "not a target that this program calls. "
        f"To use your own package, name it in the environment: {ALLOW_VARIABLE}=your_package"
    )
    if target in EXACT:
        return ""
    module_name, _, name = target.rpartition(".") if isinstance(target, str) else ("", "", "_")
    package = module_name.partition(".")[0]
    in_room = any(module_name == room or module_name.startswith(f"{room}.") for room in ROOMS)
    if name.startswith("_") or not (in_room or module_name in LIBRARIES or package in own_packages()):
        return foreign
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a user's own module may do anything when it is imported
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{module_name}.".startswith(f"{missing}."):
            looked = (
                f"there is no module {missing}; Python looks for it in the folder it is started in and in PYTHONPATH"
            )
            return foreign if in_room else looked
        return f"{module_name} cannot be imported: {told(error)}"
    # What a module merely imports (its `os`, its `torch`) is not its own.
    base = getattr(module, LIBRARIES[module_name]) if module_name in LIBRARIES else None
    own = [
        each
        for each, member in vars(module).items()
        if _is_of(package, member) and not each.startswith("_") and (base is None or _is_kind(member, base))
    ]
    if name in own:
        return ""
    if hasattr(module, name):
        return foreign
    near = get_close_matches(name, own, n=1)
    return f"{module_name} has no {name}; {f'did you mean {near[0]}? ' if near else ''}it has: {', '.join(own)}"


def _is_of(package: str, member: object) -> bool:
    return callable(member) and str(getattr(member, "__module__", "")).partition(".")[0] == package


def _is_kind(member: Any, base: type) -> bool:
    return inspect.isclass(member) and issubclass(member, base) and member is not base


def locate(target: str) -> Callable[..., Any]:
    """What a target names; :func:`check_targets` comes first."""
    module_name, _, name = targets.located(target).rpartition(".")
    return getattr(importlib.import_module(module_name), name)


def _check_arguments(key: str, node: Mapping[str, Any], runtime: Mapping[str, Any]) -> None:
    """Hold a node's keys and values against the signature of its target, nested nodes too."""
    target = locate(node["_target_"])
    parameters = inspect.signature(target).parameters
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    hints = _hints(target)
    for name, value in node.items():
        if name == "_partial_":
            check_type(f"{key}._partial_", value, bool)
        if name in ("_target_", "_partial_"):
            continue
        if name in runtime or (name not in parameters and not open_ended):
            choices = ", ".join(n for n in parameters if n not in runtime)
            raise ConfigError(f"{key}.{name}={value}: {node['_target_']} has no such setting; it has: {choices}")
        if isinstance(value, Mapping) and "_target_" in value:
            _check_arguments(f"{key}.{name}", value, {})
        elif name in hints:
            check_type(f"{key}.{name}", value, hints[name])
    # What is called later gets its positional arguments then.
    needed = {inspect.Parameter.KEYWORD_ONLY}
    if not node.get("_partial_", False):
        needed.add(inspect.Parameter.POSITIONAL_OR_KEYWORD)
    for name, parameter in parameters.items():
        given = name in node or name in runtime or parameter.default is not parameter.empty
        if parameter.kind in needed and not given:
            raise ConfigError(f"{key}.{name}: {node['_target_']} needs this setting")


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError):  # a library's annotation that only a type checker can read
        return {}


def check_type(key: str, value: Any, hint: Any) -> None:
    """Hold a value against a type, which may be annotated with a range.

    Args:
        key: of the value, for messages.
        value: of the configuration.
        hint: as pydantic reads it, strictly; what it cannot read is not checked.

    Raises:
        ConfigError: the value is of another type, or out of range.
    """
    try:
        adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True, strict=True))
    except PydanticUserError:  # an annotation that pydantic cannot check
        return
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        reasons = dict.fromkeys(each["msg"] for each in error.errors())  # one for each type that it might have been
        raise ConfigError(f"{key}={value}: {'; or '.join(reasons)}") from error
