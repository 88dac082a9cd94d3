"""The page on which a reader attacks a network: its arithmetic is torch's, and it works by keyboard."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from check_browser import BROWSER, PHONE, axe, visit
from torch import Tensor
from torch.nn import functional as F

from drs.attacks import PGD
from drs.detection import confidence, non_me
from drs.pages.playground import Exhibit, digits, load
from drs.spread import false_class_std
from drs.study.checkpoints import cached_dataset
from drs.study.experiments.networks import OBJECTIVES

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

ROOT = Path(__file__).resolve().parents[2]
IMAGES, EPSILON, STEPS = 100, 0.1, 20
PAGES = ("book/playground", "notebooks/01_softmax")
"""The pages that show the attack."""
shown_on = pytest.mark.parametrize("path", PAGES)
in_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine (Debian: chromium)")


@dataclass(frozen=True)
class Case:
    """A network, test images and their labels, and what the page computes of them: (N, ...) by name."""

    shown: Exhibit
    images: Tensor
    labels: Tensor
    found: dict[str, Tensor]


COMPUTE = """([files, images, labels, epsilon, steps]) => {
  const tensors = files.map((text) => readTensors(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))));
  const network = new Network(...tensors);
  return images.map((pixels, i) => {
    const image = Float32Array.from(pixels, (value) => value / 255);
    const gradient = Array.from(network.gradient(image, labels[i]));
    const { logits, features, spread, scores } = network.describe(image, labels[i]);
    const attacked = attack(network, image, labels[i], epsilon, steps);
    const { answer, scores: { k_density } } = network.describe(attacked, labels[i]);
    return { gradient, logits: Array.from(logits), features: Array.from(features), spread: [spread],
      ...Object.fromEntries(Object.entries(scores).map(([name, score]) => [name, [score]])),
      attacked: Array.from(attacked), answer: [answer], attacked_density: [k_density] };
  });
}"""


@pytest.fixture(scope="module")
def engine(browser: Browser) -> Iterator[Tab]:
    """An empty page that knows the site's arithmetic."""
    page = browser.new_page()
    page.add_script_tag(path=ROOT / "book" / "_explorer" / "network.js")
    yield page
    page.close()


@pytest.fixture(scope="module", params=OBJECTIVES)
def case(request: pytest.FixtureRequest, engine: Tab) -> Case:
    """What the page and the library make of the same test images."""
    split, paths = cached_dataset("mnist5k").test.first(IMAGES), ROOT / "data" / "playground"
    files = [paths / f"{request.param}{part}.safetensors" for part in ("", "_examples")]
    texts = [base64.b64encode(path.read_bytes()).decode() for path in files]
    given: list[Any] = [texts, split.images.flatten(1).tolist(), split.labels.tolist(), EPSILON, STEPS]
    rows = engine.evaluate(COMPUTE, given)
    found = {name: torch.tensor([row[name] for row in rows], dtype=torch.float64).squeeze(1) for name in rows[0]}
    return Case(load(request.param), *split.to_float(), found)


@in_browser
def test_the_arithmetic_of_the_page_is_that_of_torch(case: Case) -> None:
    images, labels = case.images.clone().requires_grad_(True), case.labels
    logits, features = case.shown.network(images), case.shown.network.features(images)
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), images)
    with torch.no_grad():
        expected = {
            "logits": logits,
            "gradient": gradient.flatten(1),
            "features": features,
            "spread": false_class_std(logits, labels, measure="probabilities"),
            "confidence": confidence(logits),
            "non_me": non_me(logits),
            "k_density": case.shown.density.score(features, logits.argmax(dim=1)),
        }
        doubt = 1.0 - logits.softmax(dim=1).gather(1, labels.unsqueeze(1)).double()
    for name, values in expected.items():
        assert float((case.found[name] - values).abs().max()) < 1e-4, name
    # Relative to the largest value of an image's gradient: 1e-4, and what 32 bits leave of 1 - p of a confident answer
    largest = gradient.flatten(1).abs().amax(dim=1, keepdim=True).double()
    assert bool((largest > 0).all())
    off = (case.found["gradient"] - gradient.flatten(1)).abs() / largest
    assert bool((off < 1e-4 + 3e-7 / doubt).all())


@in_browser
def test_the_attack_of_the_page_is_that_of_the_library(case: Case) -> None:
    network, images, labels = case.shown.network, case.images, case.labels
    made = PGD(epsilon=EPSILON, steps=STEPS, random_start=False, keep="last")(network, images, labels)
    moved = case.found["attacked"].float().reshape_as(images)
    assert float((moved - images).abs().max()) <= EPSILON + 1e-6
    assert 0.0 <= float(moved.min()) <= float(moved.max()) <= 1.0
    with torch.no_grad():
        answers = network(moved).argmax(dim=1)
        density = case.shown.density.score(network.features(moved), answers)
    assert case.found["answer"].tolist() == answers.tolist()
    torch.testing.assert_close(case.found["attacked_density"], density.double(), rtol=1e-4, atol=1e-3)
    assert int((answers == made.logits.argmax(dim=1)).sum()) >= IMAGES - 1  # where the gradient is nearly zero
    assert float(((moved - made.inputs).abs() < 1e-5).float().mean()) > 0.99  # its sign may differ


@pytest.mark.site
def test_only_the_pages_that_show_the_attack_load_its_scripts(html: Path) -> None:
    loading = {str(path.relative_to(html)) for path in html.rglob("*.html") if "playground.js" in path.read_text()}
    assert loading == {f"{page}.html" for page in PAGES}
    for page in PAGES:
        folder, text = (html / page).parent, (html / f"{page}.html").read_text()
        assert text.count('<div class="playground" hidden>') == 1
        for script in re.findall(r'src="([^"]+/explorer/\w+\.js)"', text):
            assert (folder / script).resolve().is_file(), script


@in_browser
@pytest.mark.site
@shown_on
def test_the_first_picture_is_the_first_seven_under_ce(browser: Browser, address: str, path: str) -> None:
    images, labels = digits()
    shown = load("ce")
    found = PGD(epsilon=0.1, steps=20, random_start=False, keep="last")(shown.network, images[14:15], labels[14:15])
    with visit(browser, address, f"{path}.html") as seen:
        text = seen.page.locator(".playground .explorer-text")
        text.wait_for(state="visible")
        before, after = int(shown.network(images[14:15]).argmax()), int(found.logits.argmax())
        sure = 100 * found.logits.softmax(dim=1).max().item()
        assert text.inner_text().startswith("CE, epsilon 0.1, 20 steps: the answer ")
        assert f"from {before} (" in text.inner_text()
        assert f"to {after} ({sure:.1f}%)" in text.inner_text()
        assert seen.page.locator(".playground canvas[role=img]").count() == 3
        assert seen.page.locator(".playground .explorer-panel rect").count() == 20
        assert seen.errors == seen.outside == []


@in_browser
@pytest.mark.site
@shown_on
def test_a_network_is_attacked_by_keyboard_on_a_phone_in_the_dark(browser: Browser, address: str, path: str) -> None:
    with visit(browser, address, f"{path}.html", width=PHONE, dark=True) as seen:
        page, text = seen.page, seen.page.locator(".playground .explorer-text")
        assert text.get_attribute("role") == "status"
        page.get_by_label("Training loss").focus()
        page.keyboard.press("End")
        page.wait_for_function("document.querySelector('.explorer-text').textContent.startsWith('RCE')")
        page.get_by_label("Budget epsilon").focus()
        page.keyboard.press("Home")
        page.wait_for_function("document.querySelector('.explorer-text').textContent.includes('epsilon 0,')")
        assert "the answer stays 7" in text.inner_text()
        page.keyboard.press("End")
        page.get_by_label("PGD steps").focus()
        page.keyboard.press("Home")
        page.wait_for_function("document.querySelector('.explorer-text').textContent.includes('epsilon 0.3, 1 step:')")
        assert page.get_by_label("PGD steps").get_attribute("aria-valuetext") == "1"
        page.get_by_label("7, number 1").focus()
        page.keyboard.press("ArrowRight")
        assert page.get_by_label("7, number 2").is_checked()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE
        assert axe(page) == []
        assert seen.errors == seen.outside == []


@in_browser
@pytest.mark.site
def test_a_reader_draws_without_a_mouse(browser: Browser, address: str) -> None:
    with visit(browser, address, "book/playground.html") as seen:
        page = seen.page
        page.get_by_label("draw your own").check()
        pad = page.get_by_role("application")
        pad.wait_for(state="visible")
        ink = "document.querySelector('.playground-pad canvas').getContext('2d').getImageData(0, 0, 28, 28).data"
        drawn = f"() => Array.from({{length: 784}}, (_, i) => {ink}[4 * i]).reduce((sum, value) => sum + value)"
        assert page.evaluate(drawn) > 0  # it begins with the digit that was chosen
        page.get_by_role("button", name="Clear the drawing").focus()
        page.keyboard.press("Enter")
        assert page.evaluate(drawn) == 0
        pad.focus()
        for _ in range(9):
            page.keyboard.press("ArrowUp")
        for _ in range(18):
            page.keyboard.press("Shift+ArrowDown")
        page.wait_for_function("document.querySelector('.explorer-text').textContent.includes('answer')")
        assert page.evaluate(drawn) > 18 * 255
        assert page.locator(".playground-images canvas").first.get_attribute("aria-label") == "The image: your drawing"
        assert axe(page) == []
        assert seen.errors == seen.outside == []


@in_browser
@pytest.mark.site
@pytest.mark.parametrize(("path", "said"), list(zip(PAGES, ("The attack needs JavaScript", "if scripts run there"))))
def test_without_scripts_the_page_says_what_it_needs(browser: Browser, address: str, path: str, said: str) -> None:
    with visit(browser, address, f"{path}.html", scripts=False) as seen:
        assert seen.page.get_by_text(said).is_visible()
        assert not seen.page.locator(".playground").is_visible()
