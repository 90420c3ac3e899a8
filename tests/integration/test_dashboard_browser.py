"""The dashboard in Chromium: what a person sees, wide and narrow, by day and by night."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from millpond.settings import Settings
from tests.fixtures.browser import chromium
from tests.fixtures.sidecar import LoopSidecar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

HOSTILE = "/<script>window.hurt=1</script><img src=x onerror=window.hurt=1>\"'&amp;"
REFRESH_MS = 10_000
SMALLEST_PX = 12
# WCAG's contrast of two colours, and the background that a text stands on.
CONTRASTS = """() => {
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = (c) => {
    const [r, g, b] = parse(c).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor;
      if (parse(c)[3] !== 0) return c;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = [...document.querySelectorAll("main *")].filter(
    (e) => !e.closest("svg") && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
  return texts.map((e) => {
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
    return {
      text: e.textContent.trim(), contrast: (a + 0.05) / (b + 0.05),
      size: parseFloat(getComputedStyle(e).fontSize),
    };
  });
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopSidecar]:
    base = tmp_path_factory.mktemp("dashboard")
    (base / "data").mkdir()
    settings = Settings(cache_dir=base / "cache", cache_capacity_bytes=1 << 30, http_port=0)
    with LoopSidecar(settings) as running:
        for path in ("/lake", HOSTILE):
            running.control.mount_add(path, f"file://{base}/data")
        report(running, hit_bytes=3 << 20, hit_reads=9, direct_bytes=1 << 20, fallback_silence=4)
        yield running


def report(sidecar: LoopSidecar, **counters: int) -> None:
    with sidecar.client() as client:
        client.report(counters=counters)


class Viewer:
    """A tab on the dashboard. Whatever the page complains about fails the test."""

    def __init__(self, browser: Browser, sidecar: LoopSidecar, width: int, scheme: str) -> None:
        self._context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,  # type: ignore[arg-type]
        )
        self.page: Page = self._context.new_page()
        self.trouble: list[str] = []
        self.page.on("pageerror", lambda e: self.trouble.append(str(e)))
        self.page.on("dialog", lambda d: self.trouble.append(f"dialog {d.message}"))
        self.page.on(
            "console", lambda m: self.trouble.append(m.text) if m.type == "error" else None
        )
        self.page.clock.install()
        self.page.goto(f"http://localhost:{sidecar.sidecar.http_port}/")

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._context.close()
        if kind is None:
            assert self.trouble == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_it_is_readable(width: int, scheme: str, browser: Browser, sidecar: LoopSidecar) -> None:
    with Viewer(browser, sidecar, width, scheme) as viewer:
        page = viewer.page
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        texts = page.evaluate(CONTRASTS)
        assert len(texts) > 50
        assert [t for t in texts if t["contrast"] < 4.5] == []
        assert [t for t in texts if t["size"] < SMALLEST_PX] == []
        plots = page.locator(".plot svg").all()
        assert len(plots) == 6
        for plot in plots:
            box = plot.bounding_box()
            assert box is not None
            assert box["width"] > 250
            assert box["height"] > 100
        # Dark is dark.
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (int(re.findall(r"\d+", ground)[0]) < 128) == (scheme == "dark")


def test_a_mount_named_like_a_script_does_nothing(browser: Browser, sidecar: LoopSidecar) -> None:
    with Viewer(browser, sidecar, 1280, "light") as viewer:
        assert viewer.page.get_by_text(HOSTILE, exact=True).count() == 1
        viewer.page.clock.run_for(REFRESH_MS)  # what the script puts in is no other
        assert viewer.page.get_by_text(HOSTILE, exact=True).count() == 1
        assert viewer.page.evaluate("window.hurt") is None


def test_it_renews_itself(browser: Browser, sidecar: LoopSidecar) -> None:
    with Viewer(browser, sidecar, 1280, "light") as viewer:
        page = viewer.page
        ratio = page.locator(".tile", has_text="Hits by bytes").locator(".figure")
        assert ratio.inner_text() == "75.0 %"
        page.locator(".scroll").first.evaluate("e => e.scrollLeft = 5")
        report(sidecar, hit_bytes=6 << 20)
        for _ in range(20):  # the page itself is kept for a second
            page.clock.run_for(REFRESH_MS)
            page.wait_for_timeout(200)
            if ratio.inner_text() == "90.0 %":
                break
        assert ratio.inner_text() == "90.0 %"
        assert page.locator("#stale").is_hidden()


def test_it_says_when_nobody_answers_any_more(browser: Browser, sidecar: LoopSidecar) -> None:
    with Viewer(browser, sidecar, 400, "dark") as viewer:
        page = viewer.page
        page.route("**/*", lambda route: route.abort())
        page.clock.run_for(REFRESH_MS)
        page.get_by_text("The sidecar does not answer").wait_for()
        assert "Hits by bytes" in page.inner_text("main")
        page.unroute_all()
        page.clock.run_for(REFRESH_MS)
        page.locator("#stale").wait_for(state="hidden")
        viewer.trouble = [t for t in viewer.trouble if "ERR_FAILED" not in t]


def test_columns_tell_their_figures_when_pointed_at(browser: Browser, sidecar: LoopSidecar) -> None:
    with Viewer(browser, sidecar, 1280, "light") as viewer:
        chart = viewer.page.locator("figure", has_text="Read by engines")
        tip = chart.locator(".tip").last
        tip.hover()
        assert re.fullmatch(
            r"(?:now|\d+ s ago): from this node .+/s, .*directly .+/s",
            tip.locator("title").inner_html(),
        )


def test_another_window_is_one_click_away(browser: Browser, sidecar: LoopSidecar) -> None:
    with Viewer(browser, sidecar, 400, "light") as viewer:
        viewer.page.get_by_role("link", name="24h").click()
        viewer.page.get_by_text("24h ago").first.wait_for()
        assert viewer.page.url.endswith("?window=24h")
