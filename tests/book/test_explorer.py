"""The slider of the thresholds, on made-up scores: it ends where the axis of its histogram ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from check_browser import BROWSER

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[2]
AXIS = ("M60 ", "M336 ")
"""How a line begins that is drawn at the left or at the right end of a panel's axis."""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine (Debian: chromium)")


@pytest.mark.parametrize(
    ("normal", "attacked", "first", "lowest"),
    [
        # 1% of 200 scores: the two lowest are off the axis
        ([float(i) for i in range(100)], [i - 150.5 for i in range(100)], 5.0, -148.5),
        # nearly all attacked scores are the lowest: the threshold at the start stays on the axis
        ([-200.0 + i for i in range(10)], [float(i) for i in range(2000)], -200.0, -200.0),
    ],
)
def test_the_threshold_goes_from_one_end_of_the_axis_to_the_other(
    browser: Browser, normal: list[float], attacked: list[float], first: float, lowest: float
) -> None:
    pairs = {"noise@0.1": {"k_density": {"normal": normal, "attacked": attacked, "auc": 0.5}}}
    data = {
        "kind": "thresholds",
        "networks": [{"name": "CE", "colour": "#0072B2", "pairs": pairs}],
        "metrics": {"k_density": "log K-density"},
        "attacks": {"noise@0.1": "noise, 0.1"},
        "start": {"network": 0, "attack": "noise@0.1", "metric": "k_density"},
    }
    page = browser.new_page()
    host = f'<div class="explorer" hidden><script type="application/json">{json.dumps(data)}</script></div>'
    page.set_content(f"<p>picture</p>{host}")
    page.add_script_tag(path=ROOT / "book" / "_explorer" / "explorer.js")
    slider, cursor = page.get_by_role("slider", name="Threshold"), page.locator(".explorer-panel .cursor")
    said = page.locator(".explorer-text")
    written = page.locator(".explorer-panel").first.locator("text").all_text_contents()

    def threshold() -> float:
        return float(str(slider.get_attribute("aria-valuetext")).replace("\u2212", "-"))

    assert threshold() == first
    slider.focus()
    page.keyboard.press("Home")
    assert threshold() == lowest
    assert str(cursor.get_attribute("d")).startswith(AXIS[0])
    assert f"{lowest:g}".replace("-", "\u2212") in [text.removeprefix("\u2264 ") for text in written]
    page.keyboard.press("End")
    assert threshold() == max(*normal, *attacked)
    assert str(cursor.get_attribute("d")).startswith(AXIS[1])
    assert f"{max(*normal, *attacked):g}" in written
    assert said.inner_text().endswith("noisy ones. AUC 0.500.")  # noise is no attack
    page.close()
