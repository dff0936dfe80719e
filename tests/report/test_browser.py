"""The page in a real browser: what runs, how it sorts, how wide it is, how it prints."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import report_samples as samples

from dlnsweep.figures.night import by_night
from dlnsweep.report import write_report

api = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install 'dlnsweep[browser]'"
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with api.sync_playwright() as driver:
        # Who runs tests as root, as in a container, has no sandbox.
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("pages")
    folders = {
        "small": samples.small(root / "s"),
        "hostile": samples.hostile_but_drawn(root / "h"),
        "cells": samples.with_cells(root / "c"),
    }
    return {name: write_report(folder, root / f"{name}.html") for name, folder in folders.items()}


@pytest.fixture
def shown(browser: Any, pages: dict[str, Path]) -> Iterator[Open]:
    """Open a page by its name, and see that it says nothing and asks for nothing."""
    contexts, said = [], []

    def show(name: str, width: int = 1400, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        # What the policy refuses stands in the console.
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append("dialog"), dialog.dismiss()))
        page.on("request", lambda request: said.append(request.url))
        page.goto(pages[name].as_uri())
        return page

    yield show
    for context in contexts:
        context.close()
    assert [each for each in said if each not in {path.as_uri() for path in pages.values()}] == []


def test_nothing_of_a_hostile_folder_runs(shown: Open):
    page = shown("hostile", 400)
    page.wait_for_timeout(200)
    assert page.evaluate("window.pwned") is None
    assert page.locator("script").count() == 1
    assert page.locator("thead button").count() > 5
    page.evaluate("document.querySelectorAll('button, summary').forEach(e => e.click())")
    assert page.evaluate("window.pwned") is None
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_the_policy_refuses_what_is_not_the_pages_own(browser: Any, pages: dict[str, Path]):
    """Were something not escaped, it would still not run."""
    text = pages["small"].read_text(encoding="utf-8")
    broken = pages["small"].with_name("broken.html")
    evil = "<script>window.pwned=1</script><img src=x onerror='window.pwned=2'>"
    broken.write_text(text.replace("<footer>", evil + "<footer>"), encoding="utf-8")
    page = browser.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(broken.as_uri())
    page.wait_for_timeout(200)
    assert page.evaluate("window.pwned") is None
    assert any("Content Security Policy" in text for text in refused)
    page.close()


def test_tables_are_sorted_by_the_keyboard(shown: Open):
    page = shown("small")
    head = page.locator("#summary th").filter(has_text="weight_decay")
    cells = "[...document.querySelectorAll('#summary tbody tr')].map(r => r.cells[0].textContent)"
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    rising = [float(text) for text in page.evaluate(cells)]
    assert rising == sorted(rising)
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"
    assert [float(text) for text in page.evaluate(cells)] == rising[::-1]
    # Momentum is not used by some runs: what is empty stays below.
    other = page.locator("#summary th").filter(has_text="momentum")
    texts = cells.replace("cells[0]", "cells[1]")
    for order in ("ascending", "descending"):
        other.locator("button").press("Enter")
        assert other.get_attribute("aria-sort") == order
        assert page.evaluate(texts)[-4:] == [""] * 4
    assert head.get_attribute("aria-sort") is None


@pytest.mark.parametrize("width", [400, 1400])
def test_light_and_dark_are_read_at_every_width(shown: Open, width: int):
    grounds = []
    for scheme in ("light", "dark"):
        page = shown("small", width, color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        style = "getComputedStyle(document.body)"
        found = page.evaluate(f"[{style}.backgroundColor, {style}.color]")
        light = [sum(map(int, text[4:-1].split(","))) for text in found]
        grounds.append(light[0])
        assert abs(light[0] - light[1]) > 450
        box = page.locator("figure svg").first.bounding_box()
        assert 0.5 * min(width, 700) < box["width"] < width
    assert grounds[0] > 700 > 150 > grounds[1]


def test_figures_are_read_on_dark_paper_and_cells_stay_as_they_are(shown: Open):
    looks = """e => [...e.querySelectorAll('svg [stroke], svg [fill]')]
      .filter(each => !each.closest('defs'))
      .map(each => [each.getAttribute('stroke'), getComputedStyle(each).stroke, 'stroke',
                    each.closest('.as-drawn') !== null])"""
    page = shown("cells", color_scheme="dark")
    plates = page.locator(".plate")
    assert plates.count() == 2
    for plate in plates.all():
        assert plate.evaluate("e => getComputedStyle(e).backgroundColor") == "rgba(0, 0, 0, 0)"
    axes = [found for found in plates.nth(0).evaluate(looks) if found[0] == "#000000"]
    assert axes
    assert {found[1] for found in axes} == {_rgb(by_night("#000000"))}
    fills = looks.replace("stroke", "fill")
    cells = [found for found in plates.nth(1).evaluate(fills) if found[3] and found[0]]
    assert len({found[0] for found in cells}) > 5
    assert all(_rgb(found[0]) == found[1] for found in cells if found[0] != "none")
    # Other than on white paper, and on what is printed.
    page.emulate_media(media="print")
    assert {each[1] for each in plates.nth(0).evaluate(looks) if each[0] == "#000000"} == {
        "rgb(0, 0, 0)"
    }


def _rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 400)])
def test_readers_of_screens_find_their_way(shown: Open, scheme: str, width: int):
    axe: Any = pytest.importorskip(
        "axe_playwright_python.sync_playwright",
        reason="needs axe-core: pip install 'dlnsweep[browser]'",
    )
    page = shown("cells", width, color_scheme=scheme, bypass_csp=True)
    found = axe.Axe().run(page).response["violations"]
    assert [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found] == []


def test_it_prints(shown: Open):
    page = shown("small", color_scheme="dark")
    page.emulate_media(media="print")
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") in (2, 3)
    # What is folded in is printed, and folded in again.
    assert page.locator("details:not([open])").count() == 1
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
