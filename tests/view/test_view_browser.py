"""The page in a real browser: it draws, follows a change and a new batch, and runs nothing."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import store_samples as samples

from dlnsweep.figures.looks import OKABE_ITO
from dlnsweep.figures.night import by_night
from dlnsweep.store import Store

pytest.importorskip("dash", reason="needs dash: pip install 'dlnsweep[view]'")
api: Any = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install 'dlnsweep[browser]'"
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"
PATIENCE_MS = 120_000


@pytest.fixture
def page(tmp_path: Path) -> Iterator[tuple[Any, Any, Store, list[str]]]:
    from dlnsweep.view.serve import Server

    figures = [{"kind": "curves", "y": "error"}]
    whole = samples.plan(name=HOSTILE, record={**samples.plan().record, "figures": figures})
    store = Store.create(tmp_path / "a", whole, samples.ENVIRONMENT)
    samples.commit(store, 0)
    server = Server([str(tmp_path / "a")])
    thread = threading.Thread(target=server.run)
    thread.start()
    asked: list[str] = []
    try:
        with api.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            shown = browser.new_page(viewport={"width": 400, "height": 900})
            shown.set_default_timeout(PATIENCE_MS)
            for event in ("pageerror", "dialog"):
                shown.on(event, lambda what, event=event: asked.append(f"{event}: {what}"))
            shown.on("request", lambda request: asked.append(request.url))
            yield shown, server, store, asked
            browser.close()
    finally:
        server.stop()
        thread.join()


def test_it_is_looked_at_in_a_browser(page: tuple[Any, Any, Store, list[str]]) -> None:
    shown, server, store, asked = page
    shown.goto(server.address)
    shown.wait_for_selector(".js-plotly-plot .scatterlayer .trace")
    # The token has left the address, and the cookie does; what is in it instead is the form.
    shown.wait_for_url(lambda url: "kind=" in url)
    assert "token" not in shown.url
    assert server.guard.token not in shown.url
    # Lines have the colours of the paper that they are on, also where it changes.
    line, by_day = shown.locator(".scatterlayer .js-line").last, OKABE_ITO[0].lower()
    dark = "matchMedia('(prefers-color-scheme: dark)').matches"
    for scheme, colour in (("light", by_day), ("dark", by_night(by_day)), ("light", by_day)):
        if shown.evaluate(dark) != (scheme == "dark"):
            with shown.expect_navigation():
                shown.emulate_media(color_scheme=scheme)
        line.wait_for()
        assert line.evaluate("line => getComputedStyle(line).stroke") == _rgb(colour)
    # On a phone the figures are what is seen first.
    shown.click(".form summary")
    assert shown.inner_text("#toml").strip() == '[figure]\nkind = "curves"\ny = "error"'
    assert shown.evaluate("document.documentElement.scrollWidth") <= 400
    # A name is text.
    assert HOSTILE in shown.inner_text("main h2")
    assert shown.query_selector("img[src=x]") is None
    # A change of the form is a change of the picture and of its TOML.
    shown.fill("#more", 'band = "none"')
    shown.locator("#more").blur()
    shown.locator("#toml", has_text="band").wait_for()
    shown.locator(".js-plotly-plot .fills path.js-fill").first.wait_for(state="detached")
    # A reload finds it again, though the sweep's own figure says otherwise.
    shown.wait_for_url(lambda url: "band" in url)
    shown.reload()
    shown.locator("#toml", has_text="band").wait_for()
    assert shown.input_value("#more") == 'band = "none"'
    shown.click(".form summary")
    # A mistake is a sentence, beside no picture.
    shown.fill("#more", "colour = 1")
    shown.locator("#more").blur()
    shown.wait_for_selector(".problem:not(:empty)")
    assert "figure.colour is not a key" in shown.inner_text(".problem")
    # What is committed meanwhile appears by itself.
    assert "6 of 12 runs done" in shown.inner_text("#status")
    samples.commit(store, 1)
    shown.locator("#status", has_text="12 of 12 runs done").wait_for()
    ours = server.address.partition("?")[0]
    assert [each for each in asked if not each.startswith((ours, "data:", "blob:"))] == []


def _rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 400)])
def test_it_is_for_readers_of_screens_and_for_the_keyboard(
    page: tuple[Any, Any, Store, list[str]], scheme: str, width: int
) -> None:
    """By axe-core's rules; it has nothing to find in what the form opens either."""
    axe: Any = pytest.importorskip(
        "axe_playwright_python.sync_playwright",
        reason="needs axe-core: pip install 'dlnsweep[browser]'",
    )
    shown, server, _, _ = page
    shown.emulate_media(color_scheme=scheme)
    shown.set_viewport_size({"width": width, "height": 900})
    shown.goto(server.address)
    shown.wait_for_selector(".js-plotly-plot .scatterlayer .trace")

    def found() -> list[str]:
        violations = axe.Axe().run(shown).response["violations"]
        return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in violations]

    assert found() == []
    if width == 400:
        # Folded in; Enter opens it.
        shown.focus(".form summary")
        shown.keyboard.press("Enter")
        assert found() == []
    shown.locator("#kind").wait_for()
    names = shown.evaluate(
        "[...document.querySelectorAll('button.dash-dropdown')].map(b => [b.id, b.tabIndex,"
        " document.getElementById(b.getAttribute('aria-labelledby').split(' ')[0]).textContent])"
    )
    assert ["kind", 0, "kind"] in names
    assert ["y", 0, "vertical: y"] in names
    # From the keyboard alone: another kind of figure.
    shown.focus("#kind")
    shown.keyboard.press("Enter")
    shown.locator(".dash-dropdown-content").wait_for()
    assert found() == []
    shown.locator("input[value=curves]:focus").wait_for()
    for kind in ("final", "heatmap"):
        shown.keyboard.press("ArrowDown")
        shown.locator(f"input[value={kind}]:focus").wait_for()
    shown.keyboard.press("Enter")
    shown.locator("#toml", has_text="heatmap").wait_for()
    shown.wait_for_url(lambda url: "kind=heatmap" in url)
