"""Run a script or module as Python itself would, under a tracer that starts with torch's import.

NOTE [Torch is imported by the program, not before it]: many scripts set ``OMP_NUM_THREADS``,
``TORCH_LOGS`` or ``CUDA_VISIBLE_DEVICES`` on the lines above ``import torch``. Importing torch
first would change their run, so capture starts once the program's own import has finished.
"""

from __future__ import annotations

import builtins
import os
import platform
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

import gradscope
from gradscope import program
from gradscope.capture.options import CaptureOptions
from gradscope.capture.raised import script_error
from gradscope.capture.source import UserCode
from gradscope.crash import clean_in_threads, clean_traceback, print_exception
from gradscope.errors import UsageError
from gradscope.importing import on_import
from gradscope.model.trace import Trace
from gradscope.neighbours import Neighbours
from gradscope.render.safe import PROSE_LIMIT, visible
from gradscope.sigint import repeats_unheard
from gradscope.sigterm import on_sigterm
from gradscope.threads import join_threads, others_run

if TYPE_CHECKING:
    from gradscope.capture.so_far import SoFar
    from gradscope.capture.tracer import Tracer

INTERRUPTED = 130  # what shells report for a process that Ctrl-C ended
NOT_ATTACHED = "gradscope could not attach to torch"
NO_TORCH = "The program never imported torch, so there was nothing to record."

Finish = Callable[[Trace], None]
Explain = Callable[[Trace], str]
Attached = Callable[["SoFar"], None]


def run_script(
    path: str,
    argv: Sequence[str],
    *,
    options: CaptureOptions,
    finish: Finish,
    explain: Explain | None = None,
    attached: Attached | None = None,
) -> int:
    """Run the file as ``python path argv...`` does and give its exit code.

    ``finish`` is called once with the trace, whatever ended the program, Ctrl-C and SIGTERM
    included; not in child processes, nor for a file that could not be compiled. What ``explain``
    says of an exception that ends the program is shown before Python's traceback. ``attached`` is
    called when the capture begins, with what gives the trace so far.

    Raises:
        UsageError: There is no such file.
    """
    return _Run(program.script(path, argv), options, finish, explain, attached).execute()


def run_module(
    name: str,
    argv: Sequence[str],
    *,
    options: CaptureOptions,
    finish: Finish,
    explain: Explain | None = None,
    attached: Attached | None = None,
) -> int:
    """Run the module as ``python -m name argv...`` does and give its exit code.

    Raises:
        UsageError: There is no such module.
    """
    return _Run(program.module(name, argv), options, finish, explain, attached).execute()


@dataclass
class _Run:
    """One execution of a program: from the first patch to the finished trace."""

    program: program.Program
    options: CaptureOptions
    finish: Finish
    explain: Explain | None = None
    attached: Attached | None = None
    pid: int = field(default_factory=os.getpid)
    tracer: Tracer | None = None
    stopped: Trace | None = None
    notes: list[str] = field(default_factory=list)
    finished: bool = False

    def __post_init__(self) -> None:
        self.neighbours = Neighbours(self.program.path0)

    def execute(self) -> int:
        """Run the program to its end, tell the trace, give the exit code."""
        main = self._enter()
        code: CodeType | None = None
        error: BaseException | None = None
        with (
            on_import("torch", self._start),
            on_sigterm(self._before_sigterm),
            clean_in_threads(),
        ):
            try:
                code, attributes = self.program.load()
                vars(main).update(attributes)
                exec(code, vars(main))
            except BaseException as raised:
                error = raised
            if code is None and isinstance(error, UsageError):
                self._trace(None)
                raise error
            stopped = isinstance(error, KeyboardInterrupt)
            with repeats_unheard() if stopped else nullcontext():
                return self._end(error, started=code is not None)

    def _enter(self) -> ModuleType:
        main = ModuleType("__main__")
        vars(main).update({"__builtins__": builtins, "__annotations__": {}})
        sys.modules["__main__"] = main
        sys.argv[:] = self.program.argv
        if not sys.flags.safe_path:
            sys.path[0] = self.program.path0
            self.neighbours.first()
        return main

    def _start(self) -> None:
        if os.getpid() != self.pid:
            return
        try:
            with self.neighbours.aside():
                from gradscope.capture.tracer import Tracer

            tracer = Tracer(
                self.options,
                target=self.program.target,
                argv=self.program.argv[1:],
                user_roots=self.program.roots,
            )
            if self.attached is not None:
                self.attached(tracer.so_far)
            tracer.start()
        except Exception as error:
            self.notes.append(f"{NOT_ATTACHED}: {error!r}.")
        else:
            self.tracer = tracer

    def _end(self, error: BaseException | None, *, started: bool) -> int:
        try:
            return self._end_as_python(error, started=started)
        except KeyboardInterrupt:
            if os.getpid() == self.pid:
                self._tell(error)
            return INTERRUPTED

    def _end_as_python(self, error: BaseException | None, *, started: bool) -> int:
        self._explain_first(error)
        exit_code = _show(error)
        _flush()
        if os.getpid() != self.pid:
            return exit_code
        if not started and isinstance(error, SyntaxError):
            _say_unreadable(self.program.target, error)
            return exit_code
        join_threads()
        self._tell(error)
        return exit_code

    def _explain_first(self, error: BaseException | None) -> None:
        """Says what the exception means, unless threads of the program are still at work."""
        here = isinstance(error, Exception) and os.getpid() == self.pid
        if self.explain is None or self.tracer is None or not here or others_run():
            return
        try:
            with self.neighbours.aside():
                text = self.explain(self._trace(error))
            _flush()
            if text:
                _say(text)
        except (Exception, KeyboardInterrupt):
            return  # nothing may come between the program and its traceback

    def _tell(self, error: BaseException | None) -> None:
        if self.finished:
            return
        self.finished = True
        if isinstance(error, SystemExit):
            if error.code:
                self.notes.append(f"The program ended itself with exit code {_exit_code(error)}.")
            error = None
        try:
            trace = self._trace(error)
        except KeyboardInterrupt:
            _say("gradscope: interrupted; nothing was written.")
            raise
        with self.neighbours.aside():
            self.finish(trace)

    def _trace(self, error: BaseException | None) -> Trace:
        if self.tracer is not None:
            if self.stopped is None:
                if error is not None:
                    clean_traceback(error)
                self.stopped = self.tracer.stop(error)
            return replace(self.stopped, notes=(*self.stopped.notes, *self.notes))
        if "torch" not in sys.modules:
            self.notes.append(NO_TORCH)
        return Trace(
            target=self.program.target,
            argv=self.program.argv[1:],
            environment={
                "python": platform.python_version(),
                "gradscope": gradscope.__version__,
                "platform": platform.platform(),
            },
            script_error=script_error(error, UserCode(self.program.roots)),
            notes=tuple(self.notes),
        )

    def _before_sigterm(self) -> bool:
        """Tells the trace; gives False where that is being done already."""
        if self.finished:
            return False
        _flush()
        self.notes.append("The program was ended by SIGTERM.")
        self._tell(None)
        return True


def _show(error: BaseException | None) -> int:
    """Tell the user what ended the program, as Python does; gives the exit code."""
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        if error.code is not None and not isinstance(error.code, int):
            _flush()
            _say(_text(error.code))
        return _exit_code(error)
    clean_traceback(error)
    _flush()
    try:
        print_exception(error)
    except SystemExit as ended:  # a program's own excepthook may end it with another exit code
        return _show(ended)
    return INTERRUPTED if type(error) is KeyboardInterrupt else 1


def _text(code: object) -> str:
    """What Python prints of an exit code that is no number: nothing where that fails."""
    try:
        return str(code)
    except Exception:
        return ""


def _exit_code(error: SystemExit) -> int:
    if error.code is None:
        return 0
    return int(error.code) if isinstance(error.code, int) else 1


def _say_unreadable(target: str, error: SyntaxError) -> None:
    where = f" (line {error.lineno})" if error.lineno else ""
    name = visible(target, PROSE_LIMIT)
    _say(f"gradscope: {name} is not valid Python{where}, so nothing ran and nothing was recorded.")


def _say(text: str) -> None:
    """Prints to stderr, without a word where the program has closed or replaced it."""
    with suppress(Exception):
        sys.stderr.write(f"{text}\n")


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # the program may have put anything there
            continue
