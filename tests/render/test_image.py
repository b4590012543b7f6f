from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from gradscope.errors import ImageError
from gradscope.render import image
from gradscope.render.engine import TooLongError
from gradscope.render.image import Format, fonts_available, render_image, render_svgs
from tests.builders import gpt2_like_graph, resnet_like_graph, unrolled_rnn_graph
from tests.command import PYTHONPATH
from tests.render.drawing import SVG, drawn, texts, tooltips

SMALL = 'digraph { a [label="some words", tooltip="first\\nsecond"]; a -> b }'
ARROWS = (f"a{i}->a{i * 7 % 3000};a{i}->a{i * 31 % 3000};" for i in range(3000))
TANGLE = f"digraph {{{''.join(ARROWS)}}}"
FORMATS = [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")]


@pytest.fixture
def no_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only pygraphviz's own Graphviz."""
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def no_pygraphviz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "_pygraphviz_folder", lambda: None)


def program(folder: Path, text: str) -> None:
    """Puts a ``dot`` first on the path."""
    folder.mkdir(exist_ok=True)
    path = folder / "dot"
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def fake_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "a folder with spaces"
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.mark.parametrize(("fmt", "start"), FORMATS)
def test_every_format(fmt: Format, start: bytes) -> None:
    assert render_image(SMALL, fmt).startswith(start)


@pytest.mark.parametrize(("fmt", "start"), FORMATS)
@pytest.mark.usefixtures("no_dot")
def test_every_format_without_the_dot_program(fmt: Format, start: bytes) -> None:
    assert render_image(SMALL, fmt).startswith(start)


def test_svg_has_live_text_and_tooltips() -> None:
    svg = ET.fromstring(render_image(SMALL, "svg"))

    assert "some words" in texts(svg)
    assert "first\nsecond" in tooltips(svg).values()
    assert not list(svg.iter(f"{SVG}a"))


def test_the_dot_program_is_used_first(fake_dot: Path) -> None:
    program(fake_dot, "import sys; print('<svg>', sys.argv[1], len(sys.stdin.read()))")

    assert render_image(SMALL, "svg").split() == [b"<svg>", b"-Tsvg", str(len(SMALL)).encode()]


@pytest.mark.parametrize(
    "text", ["raise SystemExit('no such format')", "pass", "import os; os.kill(os.getpid(), 11)"]
)
def test_pygraphviz_steps_in_when_the_program_fails(fake_dot: Path, text: str) -> None:
    program(fake_dot, text)

    assert b"some words" in render_image(SMALL, "svg")


@pytest.mark.usefixtures("no_pygraphviz")
def test_without_any_graphviz_it_says_what_to_do(no_dot: None) -> None:
    with pytest.raises(ImageError, match=r"pip install 'pygraphviz>=2'.*\.dot"):
        render_image(SMALL, "svg")


def test_when_both_fail_it_says_why(fake_dot: Path) -> None:
    program(fake_dot, "raise SystemExit('first reason')")

    with pytest.raises(ImageError, match=r"dot: first reason; pygraphviz: .*Invalid Input"):
        render_image("digraph {", "svg")


def test_a_layout_that_takes_too_long_is_stopped(no_dot: None) -> None:
    started = time.monotonic()

    with pytest.raises(ImageError, match=r"more than 1 s .*--max-nodes"):
        render_image(TANGLE, "svg", timeout_s=1.0)

    assert time.monotonic() - started < 10


def test_the_program_is_killed_when_it_takes_too_long(fake_dot: Path, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    program(
        fake_dot,
        f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)",
    )

    with pytest.raises(ImageError, match="dot needed more than 2 s"):
        render_image(SMALL, "svg", timeout_s=2.0)

    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


SLEEPY = """
import sys, time
dot = sys.stdin.read()
time.sleep(0.1 if "quick" in dot else 30 if "never" in dot else 1)
print("<svg>", dot)
"""


def test_several_are_drawn_at_the_same_time(fake_dot: Path) -> None:
    program(fake_dot, SLEEPY)
    started = time.monotonic()
    drawn = render_svgs(["one", "quick", "two", "x" * 300_000], [20.0] * 4)
    assert time.monotonic() - started < 3
    assert [svg[:9] for svg in drawn if isinstance(svg, bytes)] == [
        *(b"<svg> one", b"<svg> qui", b"<svg> two", b"<svg> xxx")
    ]


def test_one_that_takes_too_long_costs_only_itself(fake_dot: Path) -> None:
    program(fake_dot, SLEEPY)
    started = time.monotonic()
    first, second, third = render_svgs(["quick 1", "never", "quick 2"], [20.0, 1.0, 20.0])
    assert time.monotonic() - started < 10
    assert isinstance(second, TooLongError)
    assert second.limit_s == 1.0
    assert [first, third] == [b"<svg> quick 1\n", b"<svg> quick 2\n"]


def test_the_time_gone_by_is_told(fake_dot: Path) -> None:
    program(fake_dot, "import time; time.sleep(2.5); print('<svg>')")
    told: list[float] = []
    render_image(SMALL, "svg", tell=told.append)
    assert [round(seconds) for seconds in told] == [1, 2]


def test_after_ctrl_c_no_child_is_left(fake_dot: Path, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()
    program(
        fake_dot,
        f"import os, time; open(f'{pids}/{{os.getpid()}}', 'w').close(); time.sleep(60)",
    )
    code = "from gradscope.render.image import render_svgs; render_svgs(['a', 'b'], [60, 60])"
    command = [sys.executable, "-c", code]
    env = {**os.environ, "PYTHONPATH": PYTHONPATH}
    child = subprocess.Popen(command, env=env, stderr=subprocess.PIPE)
    while len(list(pids.iterdir())) < 2:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=20)
    assert b"KeyboardInterrupt" in said
    for pid in pids.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.name), 0)


@pytest.mark.usefixtures("no_dot")
def test_modules_of_the_users_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my project"
    folder.mkdir()
    for name in ("pygraphviz", "random", "json"):
        (folder / f"{name}.py").write_text("raise SystemExit('imported the wrong one')")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))

    assert b"some words" in render_image(SMALL, "svg")


def test_a_web_servers_environment_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_NAME", "example.org")

    assert b"some words" in render_image(SMALL, "svg")


@pytest.mark.parametrize(
    "graph",
    [gpt2_like_graph(), resnet_like_graph(), unrolled_rnn_graph(200), unrolled_rnn_graph(8)],
)
def test_real_pictures_are_drawn_in_time(graph: object) -> None:
    dot = drawn(graph)  # type: ignore[arg-type]

    started = time.monotonic()
    svg = ET.fromstring(render_image(dot, "svg"))

    assert time.monotonic() - started < 5
    assert any(text.startswith("RMS of the gradient") for text in texts(svg))


@pytest.mark.usefixtures("no_dot")
def test_fonts_are_missed_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "fonts.conf"
    config.write_text(
        f"<fontconfig><dir>{tmp_path}</dir><cachedir>{tmp_path / 'cache'}</cachedir></fontconfig>"
    )
    monkeypatch.setenv("FONTCONFIG_FILE", str(config))
    fonts_available.cache_clear()

    assert not fonts_available()

    fonts_available.cache_clear()


def test_fonts_unknown_is_no_reason_to_warn(
    no_dot: None, no_pygraphviz: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fonts_available.cache_clear()

    assert fonts_available()

    fonts_available.cache_clear()
