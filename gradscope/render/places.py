"""Where a finding points, as linters write it: a path seen from a folder, and a line."""

from __future__ import annotations

import os
from pathlib import PurePath
from urllib.parse import quote

from gradscope.model.finding import Finding, Report


def relative_path(file: str, folder: str) -> str:
    """The path as seen from the folder, when it is below it; else as it is."""
    path = PurePath(file)
    if folder and path.is_absolute() and path.is_relative_to(folder):
        return path.relative_to(folder).as_posix()
    return file


def private_path(file: str, folder: str) -> str:
    """The path as seen from the folder, else its last part: reports are passed around."""
    told = relative_path(file, folder)
    return told.replace("\\", "/").rsplit("/", 1)[-1] if told == file else told


def without_folder(text: str, folder: str) -> str:
    """A traceback whose files below the folder are told from there."""
    return text.replace(f"{folder.rstrip(os.sep)}{os.sep}", "") if folder.strip(os.sep) else text


def place_of(finding: Finding, report: Report, folder: str) -> tuple[str, int | None]:
    """File and line of a finding; the program itself where no line is to blame."""
    source = finding.where.source
    if source is not None:
        return relative_path(source.file, folder), source.line
    return relative_path(report.trace.target, folder), None


def uri(file: str) -> str:
    """A path as a URI reference: relative ones stay so."""
    path = PurePath(file).as_posix() if os.sep != "/" else file
    quoted = quote(path, safe="/", errors="replace")
    return f"file://{quoted}" if path.startswith("/") else quoted
