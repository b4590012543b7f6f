"""Modules beside the program that bear the name of one which gradscope has loaded.

Python looks into the program's folder first: a ``statistics.py`` there is what ``import
statistics`` gives. Unless gradscope has loaded the one of the standard library before; so that one
steps aside while the program runs, and is back whenever gradscope itself goes on importing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    BuiltinImporter,
    ExtensionFileLoader,
    FileFinder,
    FrozenImporter,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from types import ModuleType

_START_S = 20.0  # that a bare interpreter may take
_NEVER = ("gradscope", "__main__")
_LOADERS = (
    (ExtensionFileLoader, EXTENSION_SUFFIXES),
    (SourceFileLoader, SOURCE_SUFFIXES),
    (SourcelessFileLoader, BYTECODE_SUFFIXES),
)

_Modules = dict[str, ModuleType]


class Neighbours:
    """The modules that step aside for those of one folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._names: set[str] = set()
        self._ours: _Modules = {}

    def first(self) -> None:
        """Has the program's imports find what lies in the folder, as they do without gradscope."""
        beside = FileFinder(self._folder, *_LOADERS)  # one that leaves no cache behind
        hidden = {name for name in _loaded() if _is_hidden(name, beside)}
        self._names = hidden - _of_python() if hidden else hidden
        self._ours = _take(self._names)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """While open, imports find what they did before ``first``; the folder comes last."""
        path = sys.path[:]
        sys.path.sort(key=lambda each: each == self._folder)
        theirs = _take(self._names | self._in_the_way())
        sys.modules.update(self._ours)
        try:
            yield
        finally:
            self._ours = _take(self._names)
            sys.modules.update(theirs)
            sys.path[:] = path

    def _in_the_way(self) -> set[str]:
        """The program's own modules that bear the name of one which gradscope may yet import."""
        elsewhere = [each for each in sys.path if each != self._folder]
        return {
            name
            for name in _loaded() - {*_NEVER}
            if self._folder in _places(sys.modules[name])
            and PathFinder.find_spec(name, elsewhere) is not None
        }


def _places(module: ModuleType) -> tuple[str, ...]:
    """The folder of a module's file, and the one around it, where packages lie."""
    file = _file(module)
    folder = os.path.dirname(file)
    return (folder, os.path.dirname(folder)) if file else ()


def _file(module: ModuleType) -> str:
    """Where a module was loaded from; "" where it does not say: programs put anything there."""
    try:
        file = module.__file__
    except Exception:
        return ""
    return file if isinstance(file, str) else ""


def _is_hidden(name: str, beside: FileFinder) -> bool:
    """Whether a loaded module hides one that Python would find beside the program."""
    builtin = any(
        finder.find_spec(name) is not None for finder in (BuiltinImporter, FrozenImporter)
    )
    found = None if builtin or name in _NEVER else beside.find_spec(name)
    if found is None or found.origin is None:  # without an origin: a folder that is no package
        return False
    return os.path.realpath(_file(sys.modules[name])) != os.path.realpath(found.origin)


def _loaded() -> set[str]:
    names = list(sys.modules)  # another thread may be importing
    return {name for name in names if "." not in name}


def _take(names: Iterable[str]) -> _Modules:
    """Takes modules out of those that are loaded, with all that belongs to them."""
    roots = set(names)
    found = [name for name in list(sys.modules) if name.partition(".")[0] in roots]
    return {name: sys.modules.pop(name) for name in found}


def _of_python() -> set[str]:
    """What a bare interpreter has loaded before any program begins."""
    command = [sys.executable, "-I", "-c", "import sys; print(*sys.modules)"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_START_S)
    except (OSError, TypeError, subprocess.SubprocessError):  # there may be no executable
        return set()
    return set(done.stdout.split())
