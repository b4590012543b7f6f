"""Find and compile the user's code as the interpreter does for ``python x.py`` and ``-m x``."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

from gradscope.errors import UsageError

_COOKIE = re.compile(rb"[ \t\f]*#.*?coding[:=]")


@dataclass(frozen=True)
class Program:
    """User code that can be executed as ``__main__``.

    Attributes:
        target: What the report calls it.
        argv: ``sys.argv`` of the program.
        path0: First entry of ``sys.path``, where Python would put one.
        roots: Files and folders that are the user's code even inside site-packages.
        load: Gives the code and the module's first attributes; may run a package's ``__init__``.
    """

    target: str
    argv: tuple[str, ...]
    path0: str
    roots: tuple[str, ...]
    load: Callable[[], tuple[CodeType, dict[str, object]]]


def script(path: str, argv: Sequence[str]) -> Program:
    """The file, as ``python path argv...`` would run it.

    Raises:
        UsageError: There is no such file.
    """
    _check_script(path)
    folder = os.path.dirname(os.path.realpath(path))
    roots = (os.path.abspath(path),)
    return Program(path, (path, *argv), folder, roots, lambda: _load_script(path))


def module(name: str, argv: Sequence[str]) -> Program:
    """The module, as ``python -m name argv...`` would run it; ``load`` says if there is none."""
    roots = _top_folder(name)
    return Program(f"-m {name}", ("-m", *argv), os.getcwd(), roots, lambda: _load_module(name))


def _check_script(path: str) -> None:
    if os.path.isdir(path):
        raise UsageError(f"{path!r} is a folder; name a script in it, or a module with -m.")
    if not os.path.exists(path):
        raise UsageError(f"there is no file {path!r}.")
    if not os.access(path, os.R_OK):
        raise UsageError(f"{path!r} cannot be read: permission denied.")
    if path.endswith(".ipynb"):
        raise UsageError(
            f"{path!r} is a notebook; say %load_ext gradscope in it, or export it as a script with "
            "jupyter nbconvert --to script."
        )


def _load_script(path: str) -> tuple[CodeType, dict[str, object]]:
    full = os.path.abspath(path)
    loader = importlib.machinery.SourceFileLoader("__main__", full)
    code = _compile(Path(path).read_bytes(), full)
    return code, {"__file__": full, "__cached__": None, "__loader__": loader}


def _compile(source: bytes, filename: str) -> CodeType:
    """Compile as the interpreter does, whose own messages tell more than ``compile``'s."""
    if b"\0" in source:
        before = source[: source.index(b"\0")]
        text = before[before.rfind(b"\n") + 1 :].decode(errors="replace")
        place = (filename, before.count(b"\n") + 1, None, text)
        raise SyntaxError("source code cannot contain null bytes", place)
    try:
        return compile(source, filename, "exec", dont_inherit=True)
    except SyntaxError:
        bad = _first_undecodable(source)
        if bad is None:
            raise
        raise SyntaxError(
            f"Non-UTF-8 code starting with '\\x{source[bad]:02x}' in file {filename} "
            f"on line {source[:bad].count(10) + 1}, but no encoding declared; "
            "see https://peps.python.org/pep-0263/ for details"
        ) from None


def _first_undecodable(source: bytes) -> int | None:
    """Position of the first byte that is not UTF-8 in a file that declares no other encoding."""
    if any(_COOKIE.match(line) for line in source.splitlines()[:2]):
        return None
    try:
        source.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return None


def _load_module(name: str) -> tuple[CodeType, dict[str, object]]:
    spec = _find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        name = f"{name}.__main__"
        spec = _find_spec(name)
    code = getattr(spec.loader, "get_code", lambda _: None)(name) if spec else None
    if spec is None or code is None:
        raise UsageError(f"there is no module {name!r} that can be run{_hint(name)}.")
    sys.argv[0] = spec.origin or name
    return code, {
        "__file__": spec.origin,
        "__cached__": spec.cached,
        "__loader__": spec.loader,
        "__package__": spec.parent,
        "__spec__": spec,
    }


def _find_spec(name: str) -> importlib.machinery.ModuleSpec | None:
    parent = name.rpartition(".")[0]
    try:
        if parent:
            importlib.import_module(parent)
        return importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            return None
        raise
    except (ValueError, AttributeError):
        return None


def _top_folder(name: str) -> tuple[str, ...]:
    """Where the module's outermost package, or the module itself, lies; found without a run."""
    finder = importlib.machinery.PathFinder
    spec = finder.find_spec(name.partition(".")[0], [os.getcwd(), *sys.path])
    if spec is None:
        return ()
    places = spec.submodule_search_locations
    return tuple(places) if places is not None else (spec.origin or "",)


def _hint(name: str) -> str:
    stem = name.removesuffix(".__main__")
    return f"; write {stem[:-3]!r} without the suffix" if stem.endswith(".py") else ""
