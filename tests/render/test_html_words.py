"""What the page says beside the numbers: each rule's own words, and no folder of the author's."""

from __future__ import annotations

from dataclasses import replace

from gradscope.render.html_edge import html_page
from gradscope.render.options import RenderOptions
from tests.render import reports

DOC = """It piles up.

What: An update uses ``grad``
twice <b>.

Example::

    loss.backward()

    optimizer.step()

Instead::

    optimizer.zero_grad()
"""


def test_the_page_explains_every_rule_once() -> None:
    report = reports.accumulated_report()
    again = replace(report.findings[0], message="another")
    report = replace(report, findings=(*report.findings, again), docs={again.code: DOC})
    html = html_page(report, RenderOptions())
    assert html.count(f"Learn more about {again.code}") == 1
    assert "optimizer.zero_grad()</pre>" in html
    assert "<p><b>What</b> An update uses <code>grad</code> twice &lt;b&gt;.</p>" in html


def test_no_folder_of_the_author_is_in_the_page() -> None:
    crashed = reports.crash_with_traceback('File "/home/user/lab/train.py", line 31\nError: no')
    for report in (crashed, reports.accumulated_report()):
        assert "/home/user" not in html_page(report, RenderOptions(folder="/home/user"))
    assert "lab/train.py" in html_page(crashed, RenderOptions(folder="/home/user"))
