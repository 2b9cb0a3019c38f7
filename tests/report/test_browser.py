"""The report in a real browser with nothing to reach: no request leaves, no error is logged, no page is too wide."""

import os
import shutil

import pytest

from seepage.report.render import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs a chromium on the path"),
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package 'playwright'")
    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # root cannot have chromium's sandbox
    with playwright.sync_playwright() as engine:
        opened = engine.chromium.launch(executable_path=CHROMIUM, args=[*sandbox, "--disable-background-networking"])
        yield opened
        opened.close()


@pytest.mark.parametrize("javascript", [False, True], ids=["without scripts", "with scripts"])
@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_offline_in_every_setting(browser, variant, tmp_path, scheme, width, javascript):
    path = write_report(variant, tmp_path / "report.html")
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=javascript, offline=True
    )
    page = context.new_page()
    requests, messages = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("dialog", lambda dialog: messages.append(dialog.message))
    page.goto(path.as_uri())
    assert requests == [path.as_uri()]
    assert messages == []
    assert page.locator("h1").inner_text() == variant.verdict
    if javascript:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(21, 24, 27)")
    context.close()


def test_on_paper_it_is_black_on_white_whatever_the_screen(browser, leak, tmp_path):
    path = write_report(leak, tmp_path / "report.html")
    page = browser.new_page(color_scheme="dark")
    page.goto(path.as_uri())
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
    page.close()
