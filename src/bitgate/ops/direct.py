"""Calls of our operators past torch's dispatcher, where nothing listens there.

For an operator in Python the dispatcher takes 50 to 150 us a call, forward and backward: as much as a small layer's
arithmetic. Whatever needs the operator as such (compilation, export, tracing, dispatch modes, subclasses of tensors,
functorch) gets it.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

_PLAIN = {Tensor, nn.Parameter, type(None), str, int, float, bool, list, tuple}


def is_plain(arguments: Iterable[Any]) -> bool:
    """Whether an eager call with these arguments does the same with and without the dispatcher."""
    return (
        not torch.compiler.is_compiling()
        and {*map(type, arguments)} <= _PLAIN
        and torch._C._len_torch_dispatch_stack() == 0
        and not torch._C._are_functorch_transforms_active()
        and torch._C._get_tracing_state() is None
    )


def directly(
    operator: Any,
    run: Callable[..., Any],
    setup_context: Callable[..., None] | None = None,
    backward: Callable[..., Any] | None = None,
    n_results: int | None = None,
) -> Callable[..., Any]:
    """A function that does what an operator does, by the shortest way.

    Args:
        operator: the operator of torch.
        run: what it computes; its results share no memory with its arguments.
        setup_context: as the operator registers it.
        backward: likewise.
        n_results: what the caller gets, where ``backward`` reads more; None: all.
    """
    function = None if backward is None else _function(run, setup_context, backward, n_results)

    def call(*arguments: Any) -> Any:
        if not is_plain(arguments):
            return operator(*arguments)
        if function is not None and torch.is_grad_enabled():
            return function.apply(*arguments)
        return run(*arguments)[:n_results] if n_results else run(*arguments)

    return call


def _function(run: Callable[..., Any], setup_context: Any, backward: Callable[..., Any], n_results: int | None) -> Any:
    # Both steps in `forward`: given a setup_context of its own, torch would bind all arguments to their names first.
    def forward(ctx: Any, *arguments: Any) -> Any:
        found = run(*arguments)
        setup_context(ctx, arguments, found)
        return found[:n_results] if n_results else found

    methods = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type(f"{run.__name__}_directly", (torch.autograd.Function,), methods)
