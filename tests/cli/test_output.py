"""From report to file: the suffix chooses, the place is checked, a file is whole or absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gradscope.errors import UsageError
from gradscope.output import SUFFIXES, check_target, format_of, write_file


@pytest.mark.parametrize(("suffix", "form"), SUFFIXES.items())
def test_the_suffix_chooses_the_format(suffix: str, form: str) -> None:
    assert format_of(f"out{suffix}") == form
    assert format_of(f"out.x{suffix.upper()}") == form


@pytest.mark.parametrize("name", ["out.gif", "out.gradscope", "out", ".svg", "out.jpg", "out."])
def test_an_unknown_suffix_names_the_known_ones(name: str) -> None:
    with pytest.raises(
        UsageError, match=r"use one of \.html \.svg \.png \.pdf \.dot \.md \.txt \.json"
    ):
        format_of(name)


def test_a_place_that_cannot_be_written_is_found_early(tmp_path: Path) -> None:
    (tmp_path / "folder.svg").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a folder"):
        check_target(tmp_path / "folder.svg")
    with pytest.raises(UsageError, match="there is no folder"):
        check_target(tmp_path / "missing" / "out.svg")
    with pytest.raises(UsageError, match="there is no folder"):
        check_target(tmp_path / "file" / "out.svg")
    with pytest.raises(UsageError, match="cannot write"):
        check_target(Path("/proc/out.svg"))


def test_the_check_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "kept.svg").write_text("old")
    check_target(tmp_path / "kept.svg")
    check_target(tmp_path / "new.svg")
    assert [p.name for p in tmp_path.iterdir()] == ["kept.svg"]
    assert (tmp_path / "kept.svg").read_text() == "old"


def test_a_file_is_replaced_whole_with_its_permissions(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    target.write_text("old")
    target.chmod(0o640)
    write_file(target, b"new")
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write_file(tmp_path / "out.txt", b"x")
    modes = {p.stat().st_mode for p in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "out.txt").symlink_to(tmp_path / "deep" / "real.txt")
    write_file(tmp_path / "out.txt", b"x")
    assert (tmp_path / "out.txt").is_symlink()
    assert (tmp_path / "deep" / "real.txt").read_bytes() == b"x"


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.txt"
    target.write_text("old")

    def full(self: Path, data: bytes) -> int:
        with open(self, "wb") as out:
            out.write(data[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write_file(target, b"new")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]


def test_a_pipe_is_written_to_directly(tmp_path: Path) -> None:
    pipe = tmp_path / "out.txt"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        check_target(pipe)
        write_file(pipe, b"through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
