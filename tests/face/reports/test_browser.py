"""The report in a real browser: drawn, quiet, and readable on any paper."""

import base64
import contextlib
import json
import shutil
import time

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic
--no-first-run --disable-background-networking --disable-component-update --disable-sync""".split()
READY = "return document.documentElement.dataset.drawn === 'true'"
ALLOWED = ("file:", "data:", "blob:", "about:", "devtools:", "chrome:")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium with a fresh profile; a skip that says so where there is none that starts."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no browser: neither Chromium nor Chrome with its chromedriver is on PATH")
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.common.exceptions import SessionNotCreatedException

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(driver)
    try:
        made = webdriver.Chrome(options=options, service=service)
    except SessionNotCreatedException as error:
        pytest.skip(f"no browser: {program} does not start with {driver}: {error.msg}")
    try:
        yield made
    finally:
        made.quit()


def wait(browser, script, seconds=60):
    """Wait until a script returns something true."""
    end = time.monotonic() + seconds
    while not browser.execute_script(script):
        assert time.monotonic() < end, f"not within {seconds} s: {script}"
        time.sleep(0.05)


@contextlib.contextmanager
def opened(browser, file, width=1280, scheme="light"):
    """The report on paper of some width and scheme; at the end the console must be empty."""
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(file.as_uri())
    wait(browser, READY)
    yield
    assert browser.get_log("browser") == []


def asked_for(browser):
    """Every address that the page has asked for since it was opened."""
    found = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            found.append(message["params"]["request"]["url"])
    return found


PAPER = "return getComputedStyle(document.body).backgroundColor"
LINES = """return [...document.querySelectorAll('#chart-memories .js-line')]
  .map((line) => getComputedStyle(line).stroke)"""


def test_every_chart_is_drawn_and_nothing_is_asked_of_the_network(browser, report):
    """Each has marks in its svg and a description; the file itself is the one request."""
    with opened(browser, report.file):
        drawn = browser.execute_script(
            """return [...document.querySelectorAll('.js-plotly-plot')].map((chart) => [
              chart.dataset.chart, chart.getAttribute('aria-label'),
              chart.querySelectorAll(
                'svg .trace path, svg .heatmaplayer image, svg .points path, svg path.js-line'
              ).length])"""
        )
        assert [key for key, _, _ in drawn] == report.charts
        assert [key for key, label, marks in drawn if not label or not marks] == []
        asked = asked_for(browser)
        assert report.file.as_uri() in asked
        assert [url for url in asked if not url.startswith(ALLOWED)] == []
        assert [url for url in asked if url.startswith("file:")] == [report.file.as_uri()]


def test_the_policy_forbids_the_network(browser, report):
    """Even a script in the page could fetch nothing."""
    with opened(browser, report.file):
        blocked = browser.execute_async_script(
            """const done = arguments[0];
            document.addEventListener('securitypolicyviolation', (e) => done(e.violatedDirective));
            fetch('http://127.0.0.1:9/').catch(() => {});"""
        )
        assert blocked == "connect-src"
        browser.get_log("browser")  # which tells of the attempt
        assert [url for url in asked_for(browser) if url.startswith("http")] == []


def test_light_and_dark_are_of_the_readers_choice(browser, report):
    """The system's scheme, then the button's; charts go with the page, and it is remembered."""
    with opened(browser, report.file, scheme="light"):
        light, lines = browser.execute_script(PAPER), browser.execute_script(LINES)
    with opened(browser, report.file, scheme="dark"):
        dark, dark_lines = browser.execute_script(PAPER), browser.execute_script(LINES)
        assert dark != light
        assert lines
        assert dark_lines != lines
        button = browser.find_element("id", "theme")
        assert button.get_attribute("aria-pressed") == "true"
        button.click()
        assert browser.execute_script(PAPER) == light
        assert browser.execute_script(LINES) == lines
        assert button.get_attribute("aria-pressed") == "false"
        browser.refresh()
        wait(browser, READY)
        assert browser.execute_script(PAPER) == light
        browser.execute_script("localStorage.clear()")


@pytest.mark.parametrize("width", [320, 375, 768, 1024, 1440])
def test_no_width_scrolls_sideways(browser, report, width):
    """From a small phone to a desk; no chart is wider than its column."""
    with opened(browser, report.file, width=width):
        wide, seen = browser.execute_script(
            "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert wide <= seen
        over = browser.execute_script(
            """return [...document.querySelectorAll('.chart')].filter((chart) =>
              chart.querySelector('.main-svg').getBoundingClientRect().width
              > chart.clientWidth + 1).map((chart) => chart.id)"""
        )
        assert over == []


def test_it_prints_in_light_and_comes_back(browser, report):
    """From a dark screen: in light, of the paper's width and flatter; then as it was before."""
    with opened(browser, report.file, scheme="dark"):
        before = browser.execute_script(LINES)
        browser.execute_script(
            """addEventListener('beforeprint', () => {
              const chart = document.getElementById('chart-memories');
              const size = chart.querySelector('.main-svg').getBoundingClientRect();
              window.printed = [size.width, size.height,
                getComputedStyle(chart.querySelector('.js-line')).stroke];
            })"""
        )
        options = {"preferCSSPageSize": True, "printBackground": True}
        made = browser.execute_cdp_cmd("Page.printToPDF", options)
        pdf = base64.b64decode(made["data"])
        assert pdf.startswith(b"%PDF")
        assert 4 <= pdf.count(b"/Type /Page\n") <= 25
        width, height, stroke = browser.execute_script("return window.printed")
        assert width == pytest.approx(670, abs=2)
        assert height == pytest.approx(0.75 * 270, abs=2)
        assert stroke != before[0]
        assert browser.execute_script(LINES) == before


def test_the_keyboard_reaches_all(browser, report):
    """First a way past the navigation; every control has a name."""
    with opened(browser, report.file):
        first = browser.execute_script(
            """const all = [...document.querySelectorAll('a[href], button, summary, [tabindex]')];
            const nameless = all.filter((one) =>
              !(one.textContent.trim() || one.getAttribute('aria-label')));
            return [all[0].textContent, nameless.length];"""
        )
        assert first == ["Skip to the report", 0]
