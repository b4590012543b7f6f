"""A trace leaves everything as it found it, whatever ends it."""

from __future__ import annotations

import gc
import os
import resource
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.autograd.function import Function, _HookMixin
from torch.autograd.profiler import record_function
from torch.nn.modules import module as nn_module
from torch.nn.utils import clip_grad
from torch.optim import lr_scheduler
from torch.optim import optimizer as optim
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

import gradscope
from gradscope.capture import tracer as tracer_module
from gradscope.capture.tracer import Tracer
from tests.capture.reading import named, only_step

# What the capture replaces to see the training loop.
LOOP: list[tuple[Any, str]] = [
    (optim.Optimizer, "__init__"),
    (optim.Optimizer, "zero_grad"),
    (nn.Module, "zero_grad"),
    (record_function, "__enter__"),
    (record_function, "__exit__"),
    (clip_grad, "_clip_grads_with_norm_"),
    (torch.nn.utils, "clip_grads_with_norm_"),
    (clip_grad, "_group_tensors_by_device_and_dtype"),
    (GradScaler, "unscale_"),
    (GradScaler, "step"),
    *(
        (kind, "step")
        for kind in vars(lr_scheduler).values()
        if "step" in getattr(kind, "__dict__", ())
    ),
]

EXTRACT = "_extract_from_extended_frame_gen"


def state() -> dict[str, Any]:
    """Everything global that a capture might touch."""
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    return {
        "function modes": list(_get_current_function_mode_stack()),
        "dispatch modes": torch._C._len_torch_dispatch_stack(),
        "pre hooks": list(nn_module._global_forward_pre_hooks.items()),
        "forward hooks": list(nn_module._global_forward_hooks.items()),
        "always called": list(nn_module._global_forward_hooks_always_called.items()),
        "backward hooks": list(nn_module._global_backward_hooks.items()),
        "step pre hooks": list(optim._global_optimizer_pre_hooks.items()),
        "step post hooks": list(optim._global_optimizer_post_hooks.items()),
        "engine": torch.autograd._engine_run_backward,  # type: ignore[attr-defined]
        "engine in graph": torch.autograd.graph._engine_run_backward,
        "loop": [owner.__dict__[name] for owner, name in LOOP],
        "apply": Function.__dict__["apply"],
        "tracebacks": vars(traceback.StackSummary)[EXTRACT],
        "register hook": _HookMixin.__dict__["_register_hook"],
        "unwrap": torch._functorch.utils.unwrap_dead_wrappers,
        "compile": torch.compile,
        "dynamo": getattr(dynamo, "_maybe_set_eval_frame", None),
        "threads": threading.Thread._bootstrap_inner,  # type: ignore[attr-defined]
        "thread excepthook": threading.excepthook,
        "excepthook": sys.excepthook,
        "displayhook": sys.displayhook,
        "stack": resource.getrlimit(resource.RLIMIT_STACK),
        "recursion": sys.getrecursionlimit(),
        "gc": (gc.isenabled(), gc.get_threshold()),
        "trace": (sys.gettrace(), sys.getprofile()),
        "grad mode": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "saved hooks": torch._C._autograd._top_saved_tensors_default_hooks(True),
        "import hooks": list(sys.meta_path),
        "warnings": list(warnings.filters),
        "threads alive": threading.active_count(),
    }


def assert_same(before: dict[str, Any], but: tuple[str, ...] = ()) -> None:
    after = state()
    changed = [key for key in before if before[key] != after[key] and key not in but]
    assert changed == []


def _train() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    optimizer = torch.optim.Adam(net.parameters())
    for _ in range(2):
        optimizer.zero_grad()
        net(torch.randn(2, 3)).sum().backward()
        optimizer.step()


def _fail_in_forward() -> None:
    class Fails(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise ValueError("forward")

    nn.Sequential(nn.Linear(2, 2), Fails())(torch.ones(1, 2))


def _fail_in_backward() -> None:
    def hook(_: Tensor) -> None:
        raise ValueError("backward")

    x = torch.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(hook)
    y.sum().backward()


def _fail_in_step() -> None:
    class Fails(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            raise ValueError("step")

    net = nn.Linear(2, 1)
    optimizer = Fails(net.parameters())
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()


def _raise(error: BaseException) -> Callable[[], None]:
    def run() -> None:
        _train()
        raise error

    return run


ENDINGS: list[tuple[str, Callable[[], None], type[BaseException] | None]] = [
    ("normally", _train, None),
    ("empty", lambda: None, None),
    ("error in forward", _fail_in_forward, ValueError),
    ("error in backward", _fail_in_backward, ValueError),
    ("error in step", _fail_in_step, ValueError),
    ("KeyboardInterrupt", _raise(KeyboardInterrupt()), KeyboardInterrupt),
    ("SystemExit", _raise(SystemExit(3)), SystemExit),
    ("GeneratorExit", _raise(GeneratorExit()), GeneratorExit),
]


@pytest.fixture(autouse=True)
def _loaded() -> None:
    """Imports what torch imports late, so that it is not taken for our doing."""
    _train()


@pytest.mark.parametrize(("run", "error"), [e[1:] for e in ENDINGS], ids=[e[0] for e in ENDINGS])
def test_everything_is_undone(run: Callable[[], None], error: type[BaseException] | None) -> None:
    before = state()
    with ExitStack() as stack:
        if error is not None:
            stack.enter_context(pytest.raises(error))
        with gradscope.trace() as t:
            assert state()["engine"] is not before["engine"]
            run()
    assert_same(before)
    assert (t.trace.script_error is None) == (error is None)
    assert not t.trace.dropped


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_keeps_its_state(enabled: bool) -> None:
    was = gc.isenabled()
    try:
        gc.enable() if enabled else gc.disable()
        with gradscope.trace():
            _train()
            assert gc.isenabled() == enabled
        assert gc.isenabled() == enabled
    finally:
        gc.enable() if was else gc.disable()


def test_the_users_modes_stay_where_they_are() -> None:
    class Mode(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            return func(*args, **(kwargs or {}))

    outer, inner = Mode(), Mode()
    with outer:
        session = gradscope.trace()
        session.__enter__()
        inner.__enter__()  # type: ignore[no-untyped-call]
        session.__exit__(None, None, None)
        assert _get_current_function_mode_stack() == [outer, inner]
        inner.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        assert _get_current_function_mode_stack() == [outer]


@pytest.mark.parametrize(
    "part", ["EngineWatch", "Ledger", "LoopCalls", "ModuleTracker", "CompiledCalls", "Threads"]
)
@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt()])
def test_a_start_that_fails_half_way_leaves_nothing(
    part: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(getattr(tracer_module, part), "install", fail)
    before = state()
    with pytest.raises(type(error)):
        Tracer().start()
    assert_same(before)


def test_the_mode_that_cannot_be_pushed_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(tracer_module.ForwardMode, "__enter__", fail)  # type: ignore[attr-defined]
    before = state()
    session = gradscope.trace()
    with pytest.raises(RuntimeError, match="boom"):
        session.__enter__()
    assert_same(before)
    monkeypatch.undo()
    with session:  # the same handle works once nothing is in its way
        _train()
    assert len(session.trace.steps) == 2


@contextmanager
def _patched(owner: Any, name: str) -> Iterator[list[str]]:
    """Somebody else's patch, made inside a trace and removed after it."""
    calls: list[str] = []
    original = owner.__dict__[name]
    function = original.__func__ if isinstance(original, classmethod) else original

    def patched(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return function(*args, **kwargs)

    setattr(owner, name, classmethod(patched) if isinstance(original, classmethod) else patched)
    yield calls
    setattr(owner, name, original)


class _Double(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * 2


def _use_everything() -> float:
    x = torch.ones(2, requires_grad=True)
    result: Any = _Double.apply(x)  # type: ignore[no-untyped-call]
    worker = threading.Thread(target=lambda: result.sum().backward())
    worker.start()
    worker.join()
    assert x.grad is not None
    return float(x.grad.sum())


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (torch.autograd, "_engine_run_backward"),
        (torch.autograd.graph, "_engine_run_backward"),
        (Function, "apply"),
        (threading.Thread, "_bootstrap_inner"),
        (torch._functorch.utils, "unwrap_dead_wrappers"),
    ],
)
def test_a_patch_on_top_of_ours_stays_and_works(owner: Any, name: str) -> None:
    original = owner.__dict__[name]
    before = state()
    try:
        session = gradscope.trace()
        session.__enter__()
        with _patched(owner, name) as calls:
            theirs = owner.__dict__[name]
            session.__exit__(None, None, None)
            assert owner.__dict__[name] is theirs, "not clobbered"
            steps = len(session.trace.steps)
            assert _use_everything() == 4.0
            assert calls or owner is torch.autograd.graph
            assert len(session.trace.steps) == steps, "ours is an inert link"
    finally:
        setattr(owner, name, original)
    assert_same(before)


def test_two_traces_that_end_in_the_wrong_order() -> None:
    before = state()
    first, second = gradscope.trace(), gradscope.trace()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    _train()
    second.__exit__(None, None, None)
    assert (len(first.trace.steps), len(second.trace.steps)) == (0, 2)
    after = state()
    patched = {"engine", "engine in graph", "apply", "threads", "unwrap", "compile", "dynamo"}
    patched |= {"loop", "register hook", "tracebacks"}
    assert {key for key in before if before[key] != after[key]} <= patched
    _train()
    assert len(second.trace.steps) == 2
    for owner, name, key in (
        (torch.autograd, "_engine_run_backward", "engine"),
        (torch.autograd.graph, "_engine_run_backward", "engine in graph"),
        (Function, "apply", "apply"),
        (threading.Thread, "_bootstrap_inner", "threads"),
        (torch._functorch.utils, "unwrap_dead_wrappers", "unwrap"),
        (torch, "compile", "compile"),
        (sys.modules["torch._dynamo.eval_frame"], "_maybe_set_eval_frame", "dynamo"),
    ):
        setattr(owner, name, before[key])
    for (owner, name), original in zip(LOOP, before["loop"], strict=True):
        setattr(owner, name, original)
    setattr(traceback.StackSummary, EXTRACT, before["tracebacks"])


def test_a_thread_that_outlives_the_trace_is_left_alone() -> None:
    go, done = threading.Event(), threading.Event()
    found: list[float] = []

    def work() -> None:
        go.wait()
        x = torch.ones(2, requires_grad=True)
        (x * 2).sum().backward()
        assert x.grad is not None
        found.append(float(x.grad.sum()))
        done.set()

    worker = threading.Thread(target=work)
    with gradscope.trace() as t:
        worker.start()
    go.set()
    worker.join()
    assert found == [4.0]
    assert t.trace.steps == ()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_is_not_watched() -> None:
    with gradscope.trace() as t:
        _train()
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:  # the child must not run the rest of the test
            code = 1
            try:
                _train()
                t.__exit__(None, None, None)
                code = len(t.trace.steps)
            finally:
                os.write(write, bytes([code]))
                os._exit(0)
        os.waitpid(pid, 0)
        assert os.read(read, 1) == bytes([2]), "only what was before the fork"
        os.close(read)
        os.close(write)
    assert len(t.trace.steps) == 2


def test_a_trace_inside_a_generator_that_is_never_finished() -> None:
    before = state()

    def generate() -> Iterator[int]:
        with gradscope.trace():
            yield 1

    generator = generate()
    next(generator)
    generator.close()  # type: ignore[attr-defined]
    assert_same(before)


def test_a_run_without_the_private_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.autograd.graph, "_engine_run_backward")
    x = torch.ones(2, requires_grad=True)
    with gradscope.trace() as t:
        loss = (x * 2).sum()
        loss.backward()
    assert "missing" in " ".join(t.trace.notes)
    assert only_step(t).loss == 4.0
    assert named(t.trace.graphs[0][1], "Mul")
