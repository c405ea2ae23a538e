"""One JupyterLab for all browser tests, one browser a file, one page a test; a failure says what was on the screen."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from driven import LabPage, Server, browsing, chromium, prepared, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

READABLE = 20_000
FAILED = pytest.StashKey[bool]()


def absent(why: str) -> NoReturn:
    """Skip, with one reason; where browser tests are required (ROUTELAB_BROWSER=required, as in CI), fail."""
    if os.environ.get("ROUTELAB_BROWSER") == "required":
        pytest.fail(f"browser tests are required here, but {why}", pytrace=False)
    pytest.skip(f"no browser tests: {why}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder, so that `-m 'not browser'` leaves it out."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running JupyterLab."""
    if chromium() is None:
        absent("there is no chromium on this machine (install it, or name one in ROUTELAB_CHROMIUM)")
    with serving(tmp_path_factory.mktemp("jupyter")) as running:
        yield running


# A file and no longer: while playwright is on, asyncio believes that a loop runs in this thread, and other tests start their own.
@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[Browser]:
    """A running Chromium."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        absent("playwright is not installed (python -m pip install playwright)")
    path = chromium()
    assert path is not None
    with sync_playwright() as playwright:
        try:
            opened = browsing(playwright, path)
            running = opened.__enter__()
        except Error as broken:
            absent(f"{path} does not start: {broken.message.splitlines()[0]}")
        try:
            yield running
        finally:
            opened.__exit__(None, None, None)


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A place for pages of 1,200 by 1,000 pixels; one page serves a whole file, for JupyterLab takes long to load."""
    made = browser.new_context(viewport={"width": 1200, "height": 1000})
    yield made
    made.close()


@pytest.fixture
def lab_page(context: BrowserContext, server: Server, request: pytest.FixtureRequest) -> Iterator[LabPage]:
    """A page without a notebook; what a test opens is closed after it."""
    page = context.pages[0] if context.pages else prepared(context.new_page())
    used = LabPage(page, server, re.sub(r"\W+", "-", request.node.name)[:80])
    yield used
    if request.node.stash.get(FAILED, False):
        page.close()
    else:
        used.leave()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Add to a failure what the notebook said, and keep a picture of it."""
    report: Any = yield
    page = getattr(item, "funcargs", {}).get("lab_page")
    if report.when == "call" and report.failed and isinstance(page, LabPage):
        item.stash[FAILED] = True
        report.sections.append(("the notebook", page.account()[-READABLE:]))
    return report
