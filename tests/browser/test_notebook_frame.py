"""A trace inside a notebook's page: shown whole, its script runs, nothing leaks out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

import gradscope

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def frame() -> str:
    x = torch.tensor(2.0, requires_grad=True)
    with gradscope.trace() as t:
        y = x**2 + 3 * x - 5
        y.backward()
    shown = t._repr_html_()
    assert shown is not None
    return shown


def test_the_page_fits_its_frame(browser: Browser, tmp_path: Path, frame: str) -> None:
    from tests.browser.chromium import opened

    page_text = f"<!doctype html><meta charset=utf-8><body style='width:860px'>{frame}</body>"
    with opened(browser, page_text, tmp_path) as page:
        box = page.locator("iframe").bounding_box()
        assert box is not None
        assert 850 <= box["width"] <= 870
        assert 480 <= box["height"] <= 800
        inside = page.frame_locator("iframe")
        assert "No problem found" in (inside.locator("#answer").inner_text())
        assert inside.locator("svg").count() >= 1
        width = inside.locator("body").evaluate("body => body.scrollWidth")
        assert width <= box["width"]


def test_the_frame_is_kept_apart(browser: Browser, tmp_path: Path, frame: str) -> None:
    from tests.browser.chromium import opened

    with opened(browser, f"<!doctype html><body>{frame}</body>", tmp_path) as page:
        reached = (
            page.frame_locator("iframe")
            .locator("body")
            .evaluate(
                "() => { try { return parent.document.title } catch (error) { return error.name } }"
            )
        )
        assert reached == "SecurityError"
