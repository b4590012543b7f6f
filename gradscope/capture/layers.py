"""Torch's own small layers, called as modules: run and noted in one go.

NOTE [Layers]
A global module hook sends every module through the long way of ``Module.__call__``, and a mode
makes torch ask about each function that a layer calls. For a small layer both cost more than its
work. So while those are installed, the classes below have a ``__call__`` of ours, which runs
``forward`` without them and notes the one function that it calls. It does so only where nobody
could tell: for a layer of just that class, with plain tensors and no hooks, when nothing that its
call would meet has been replaced in torch or is in force beside the capture. All other calls go
their usual way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch._C import _get_function_stack_at as _mode_at
from torch._C import _len_torch_function_stack as _modes_on
from torch.nn import functional
from torch.nn.modules.module import (
    _global_backward_hooks as _after_backward,
)
from torch.nn.modules.module import (
    _global_backward_pre_hooks as _before_backward,
)
from torch.nn.modules.module import (
    _global_forward_hooks as _after_forward,
)
from torch.nn.modules.module import (
    _global_forward_pre_hooks as _before_forward,
)

from gradscope.capture.cuts import CUTTING
from gradscope.capture.dynamo import own_work, way_through
from gradscope.capture.forward import ForwardRecorder, counter, saved_hooks
from gradscope.capture.quiet import (
    NO_FUNCTIONS,
    dispatch_modes,
    recover,
    tracing,
    transforms_active,
)
from gradscope.capture.readable import PLAIN
from gradscope.capture.reraised import raise_in_call

_functions_asked: Callable[[], bool] = torch._C._is_torch_function_mode_enabled
_stacks_are_kept: Callable[[], bool] = torch._C.is_anomaly_enabled
_Module = nn.Module
_CALL = _Module.__call__
_CALL_IMPL = _Module._call_impl
_OWN_HOOKS = 1  # in each of the global dicts of hooks of modules
_REPLACED = frozenset({"forward", "_call_impl", "_compiled_call_impl"})  # on one instance
_SPACES = {"F": functional, "nn": torch._C._nn, "torch": torch, "VF": torch._VF}
_NOT_IN_PLACE = ("inplace", False)


class Layer(NamedTuple):
    """A class of layers whose ``forward`` calls one function.

    Attributes:
        kind: The class.
        function: The function.
        forward: As torch defines it.
        reached: What must be as torch has it for the call to be the usual one: where it lies, its
            name, and what torch has there.
        parameters: Names of those that the function takes.
        option: An attribute with which ``forward`` may do something else, and its value without.
    """

    kind: type[nn.Module]
    function: Any
    forward: Any
    reached: tuple[tuple[dict[str, Any], str, Any], ...]
    parameters: tuple[str, ...]
    option: tuple[str, Any]


def _layer(
    kind: type[nn.Module], reached: str, parameters: str = "", option: tuple[str, Any] = ("", None)
) -> Layer:
    """The first of the functions reached is the one that ``forward`` calls."""
    places = []
    for path in reached.split():
        owner, _, name = path.partition(".")
        space = vars(_SPACES[owner])
        places.append((space, name, space.get(name)))
    function, forward = places[0][2], kind.forward
    return Layer(kind, function, forward, tuple(places), tuple(parameters.split()), option)


LAYERS = (
    _layer(nn.Linear, "F.linear", "weight bias"),
    _layer(nn.ReLU, "F.relu torch.relu", option=_NOT_IN_PLACE),
    _layer(nn.LeakyReLU, "F.leaky_relu nn.leaky_relu", option=_NOT_IN_PLACE),
    _layer(nn.ELU, "F.elu nn.elu", option=_NOT_IN_PLACE),
    _layer(nn.SiLU, "F.silu nn.silu", option=_NOT_IN_PLACE),
    _layer(nn.GELU, "F.gelu"),
    _layer(nn.Tanh, "torch.tanh"),
    _layer(nn.Sigmoid, "torch.sigmoid"),
    _layer(nn.Dropout, "F.dropout VF.dropout", option=_NOT_IN_PLACE),
    _layer(nn.LayerNorm, "F.layer_norm torch.layer_norm", "weight bias"),
    _layer(nn.Embedding, "F.embedding torch.embedding", "weight", option=("max_norm", None)),
)


class Layers:
    """Calls torch's own layers while put on.

    Args:
        recorder: Notes what they make.
    """

    def __init__(self, recorder: ForwardRecorder) -> None:
        self._recorder = recorder
        self._calls = [(layer.kind, self._calling(layer)) for layer in LAYERS]

    def put_on(self) -> None:
        """Gives the classes a ``__call__``, unless somebody else has."""
        for kind, call in self._calls:
            if "__call__" not in vars(kind):
                kind.__call__ = call  # type: ignore[method-assign]

    def take_off(self) -> None:
        """Takes it away again; where somebody has replaced it, it stays behind and does nothing."""
        for kind, call in self._calls:
            if vars(kind).get("__call__") is call:
                del kind.__call__

    def _calling(self, layer: Layer) -> Callable[..., Any]:
        recorder = self._recorder

        @way_through
        def call_layer(module: nn.Module, /, *args: Any, **kwargs: Any) -> Any:
            given = None
            try:
                if not kwargs and len(args) == 1 and _is_alone(recorder):
                    given = _taken(layer, module, args[0])
            except BaseException as error:
                recover(error)
                recorder.failures += 1
            if given is None:
                return nn.Module.__call__(module, *args, **kwargs)
            try:
                with NO_FUNCTIONS():
                    before = counter()
                    out = layer.forward(module, *args)
                    after = counter()
            except BaseException as error:
                raise_in_call(error)
                raise
            if after != before:
                recorder.note_layer(module, layer.function, before, after, out, given)
            elif layer.function in CUTTING or recorder.cuts.wants(given):
                recorder.cuts.saw(layer.function, given, out)
            return out

        return call_layer


@own_work
def _is_alone(recorder: ForwardRecorder) -> bool:
    """Whether the capture is all that is in force in this thread, and has the only global hooks."""
    if not recorder.recording or _modes_on() != 1 or not _functions_asked():
        return False
    return not (
        recorder.windows.here.mode is not _mode_at(0)
        or dispatch_modes()
        or transforms_active()
        or tracing()
        or saved_hooks(False) is not None
        or _stacks_are_kept()
        or len(_before_forward) != _OWN_HOOKS
        or len(_after_forward) != _OWN_HOOKS
        or _before_backward
        or _after_backward
    )


@own_work
def _taken(layer: Layer, module: nn.Module, argument: Any) -> list[Any] | None:
    """The tensors that the layer's function takes; None where something about it is not torch's."""
    kind, own, (option, usual) = layer.kind, vars(module), layer.option
    if (
        type(module) is not kind
        or type(argument) not in PLAIN
        or kind.forward is not layer.forward
        or _Module.__call__ is not _CALL
        or _Module._call_impl is not _CALL_IMPL
        or own["_forward_hooks"]
        or own["_forward_pre_hooks"]
        or own["_backward_hooks"]
        or own["_backward_pre_hooks"]
        or not own.keys().isdisjoint(_REPLACED)
        or own.get(option) is not usual
    ):
        return None
    for space, name, original in layer.reached:
        if space.get(name) is not original:
            return None
    given, parameters = [argument], own["_parameters"]
    for name in layer.parameters:
        parameter = parameters.get(name, layer)
        if type(parameter) in PLAIN:
            given.append(parameter)
        elif parameter is not None:
            return None
    return given
