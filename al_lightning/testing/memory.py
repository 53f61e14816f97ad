"""How large the largest thing is that a function makes: what shows that it never holds all pairs of the pool."""

import tracemalloc
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Largest(TorchDispatchMode):
    """Watches every tensor that an operation returns."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for each in tree_leaves(made):
            # A view that is expanded takes no memory of its own.
            if isinstance(each, Tensor) and each.untyped_storage().nbytes() >= each.nbytes:
                self.elements = max(self.elements, each.numel())
        return made


def largest(function: Callable[[], object]) -> int:
    """Elements of the largest tensor, or of all NumPy arrays at their peak, whichever are more.

    Args:
        function: called once.
    """
    tracemalloc.start()
    try:
        with _Largest() as watched:
            function()
        return max(watched.elements, tracemalloc.get_traced_memory()[1] // 8)
    finally:
        tracemalloc.stop()
