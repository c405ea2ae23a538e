"""A real JupyterLab: the server that a test starts, and its page in the system's Chromium, driven as a person drives it."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

# Only what runs in a browser test imports playwright: the files are collected where it is not installed, and skipped.
if TYPE_CHECKING:
    from playwright.sync_api import Browser, Error, Locator, LocatorAssertions, Page, Playwright, Request

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# No sandbox: a container has no namespaces to give. The rest keeps the browser from talking to its maker.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "apputils-extension/themes": {"theme": "JupyterLab Light"},
    # Saving is a test's own step; a save in between would make some of them pass by luck.
    "docmanager-extension/plugin": {"autosave": False},
}
PATIENCE_S = 90.0  # a kernel and its first imports on a machine that is busy with something else
GLANCE_S = 40.0  # what a person would never wait for a click to show; a busy machine may take that long

# JupyterLab's own objects, for what has no control on the screen; whatever has one is clicked.
SCRIPT = """
window.lab = {
  panel(path) {
    const open = [...window.jupyterapp.shell.widgets('main')];
    return open.find(w => w.context?.path === path && w.content?.widgets) ?? null;
  },
  ready(path) {
    const p = this.panel(path);
    return !!p && p.context.isReady && p.content.widgets.length > 0;
  },
  kernel(path) {
    const session = this.panel(path)?.sessionContext?.session;
    return session?.kernel ? session.kernel.status : 'none';
  },
  send(path, index) {
    const p = this.panel(path);
    p.content.activeCellIndex = index;
    p.content.deselectAll();
    window.jupyterapp.shell.activateById(p.id);
    window.jupyterapp.commands.execute('notebook:run-cell');
  },
  leave() {
    // Thrown away rather than closed: closing asks whether to save.
    for (const w of [...window.jupyterapp.shell.widgets('main')]) {
      w.sessionContext?.shutdown();
      w.dispose();
    }
  },
  errors(path) {
    return this.panel(path).content.widgets
      .flatMap(cell => cell.model.outputs?.toJSON() ?? [])
      .filter(output => output.output_type === 'error')
      .map(output => `${output.ename}: ${output.evalue}`);
  },
  busy(path) {
    return this.panel(path).content.widgets
      .map((cell, i) => [i, cell.model.type === 'code' && cell.model.executionState === 'running'
        || cell.node.querySelector('.jp-InputPrompt')?.textContent.includes('[*]')])
      .filter(pair => pair[1]).map(pair => pair[0]);
  },
};
"""


def chromium() -> str | None:
    """Return the path of the system's browser, None when there is none; ROUTELAB_CHROMIUM names another one."""
    named = os.environ.get("ROUTELAB_CHROMIUM")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, BROWSERS)), None)


def expect(found: Locator) -> LocatorAssertions:
    """Return playwright's assertions about what is on the page; they wait until they hold."""
    from playwright.sync_api import expect as assertions

    assertions.set_options(timeout=GLANCE_S * 1000)
    return assertions(found)


@dataclass(frozen=True, kw_only=True)
class Server:
    """A JupyterLab that listens on this machine only; `root` is the folder that it shows."""

    url: str
    token: str
    root: Path


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Start a JupyterLab whose every file is in the folder, and stop it."""
    for plugin, settings in SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings), encoding="utf-8")
    root, runtime, token = folder / "root", folder / "runtime", secrets.token_hex(8)
    root.mkdir()
    places = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "IPYTHONDIR": "ipython"}
    environment = {name: value for name, value in os.environ.items() if name != "ROUTELAB_SHARED"} | {
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTER_PREFER_ENV_PATH": "1",
        **{name: str(folder / place) for name, place in places.items()},
    }
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.root_dir": root,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "IdentityProvider.token": token,
        "LabApp.user_settings_dir": folder / "settings",
        "LabApp.workspaces_dir": folder / "workspaces",
        "LabApp.expose_app_in_browser": True,
        "LabApp.extension_manager": "readonly",
    }
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())],
            stdout=log,
            stderr=log,
            env=environment,
            cwd=root,
        )
        try:
            yield Server(url=_url(server, runtime, folder / "server.log"), token=token, root=root)
        finally:
            server.terminate()
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _url(server: subprocess.Popen[bytes], runtime: Path, log: Path) -> str:
    # The server chooses its port by itself when 8888 is taken, and says which in this file when it listens.
    said = runtime / f"jpserver-{server.pid}.json"
    deadline = time.monotonic() + PATIENCE_S
    while server.poll() is None and time.monotonic() < deadline:
        if said.is_file() and (text := said.read_text(encoding="utf-8")).endswith("}"):
            return f"http://127.0.0.1:{json.loads(text)['port']}"
        time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-4000:]}")


@contextmanager
def browsing(playwright: Playwright, path: str) -> Iterator[Browser]:
    """Start the browser, and stop it."""
    browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
    try:
        yield browser
    finally:
        browser.close()


def prepared(page: Page) -> Page:
    """Return the page with our script in it, and with an answer for what asks whether to leave it."""
    page.set_default_timeout(GLANCE_S * 1000)
    page.add_init_script(SCRIPT)
    page.on("dialog", lambda dialog: dialog.accept())
    return page


class LabPage:
    """One notebook in JupyterLab, seen and touched through the browser. Cells are counted from 0.

    `abroad` lists every address outside the server that the page has asked for, and `trouble` every uncaught error in it.
    """

    def __init__(self, page: Page, server: Server, name: str) -> None:
        self.page = page
        self.server = server
        self.folder = server.root / name
        self.folder.mkdir()
        self.path = f"{name}/notebook.ipynb"
        self.abroad: list[str] = []
        self.trouble: list[str] = []
        page.on("request", self._asked)
        page.on("pageerror", self._failed)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.server.url, "data:", "blob:")):
            self.abroad.append(request.url)

    def _failed(self, error: Error) -> None:
        self.trouble.append(str(error))

    # -- the notebook

    @property
    def file(self) -> Path:
        """The notebook's file."""
        return self.server.root / self.path

    @property
    def saved(self) -> nbformat.NotebookNode:
        """The notebook as it is in its file."""
        return nbformat.read(self.file, as_version=4)

    def open(self, *sources: str, kernel: str = "python3") -> None:
        """Write a notebook of these code cells, open it, and wait until its kernel can run them."""
        metadata = {"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}}
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), self.file)
        if self.page.evaluate("() => !!window.jupyterapp"):
            self.page.evaluate("path => void window.jupyterapp.commands.execute('docmanager:open', {path})", self.path)
            self._restored()
        else:
            self._goto()
        self._until("path => lab.kernel(path) === 'idle'")

    def _goto(self) -> None:
        # A workspace of its own, so that no notebook of another test comes back with it.
        workspace = self.folder.name
        self.page.goto(f"{self.server.url}/lab/workspaces/{workspace}/tree/{self.path}?token={self.server.token}")
        self._restored()

    def _restored(self) -> None:
        self._until("path => window.jupyterapp && window.lab && lab.ready(path)")
        self.page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
        self.page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for()

    def _until(self, condition: str, *, within_s: float = PATIENCE_S) -> None:
        self.page.wait_for_function(condition, arg=self.path, timeout=within_s * 1000)

    def send(self, *indices: int) -> None:
        """Run cells without waiting for their end."""
        for index in indices:
            self.page.evaluate("([path, index]) => lab.send(path, index)", [self.path, index])

    def run(self, *indices: int) -> None:
        """Run cells, all of them when none is named, and wait until no cell runs; an error in one fails the test."""
        chosen = indices or range(self.page.evaluate("path => lab.panel(path).content.widgets.length", self.path))
        self.send(*chosen)
        self.idle()
        errors = self.page.evaluate("path => lab.errors(path)", self.path)
        assert errors == [], "\n".join(errors)

    def idle(self) -> None:
        """Wait until no cell runs."""
        self._until("path => lab.busy(path).length === 0")

    @property
    def running(self) -> list[int]:
        """The cells that run or wait to run."""
        found: list[int] = self.page.evaluate("path => lab.busy(path)", self.path)
        return found

    def cell(self, index: int) -> Locator:
        """Return a cell on the page."""
        return self.page.locator(".jp-NotebookPanel .jp-Notebook .jp-Cell").nth(index)

    def outputs(self, index: int) -> Locator:
        """Return a cell's outputs on the page, one each."""
        return self.cell(index).locator(".jp-Cell-outputArea > .jp-OutputArea-child")

    def still(self, index: int) -> Locator:
        """Return what a panel has left in the notebook; hidden where its controls live."""
        return self.outputs(index).first

    def live(self, index: int) -> Locator:
        """Return a panel's controls."""
        return self.outputs(index).last

    def text(self, index: int) -> str:
        """Return what a person reads in a cell's outputs; what is hidden is not in it."""
        self.cell(index).scroll_into_view_if_needed()
        return "\n".join(output.inner_text() for output in self.outputs(index).all())

    def evaluated(self, expression: str) -> str:
        """Return the text/plain of an expression, run in the notebook's kernel beside its cells."""
        found: dict[str, Any] = self.page.evaluate(
            """async ([path, expression]) => {
              const kernel = lab.panel(path).sessionContext.session.kernel;
              const asked = kernel.requestExecute(
                {code: '', silent: false, store_history: false, user_expressions: {it: expression}});
              return (await asked.done).content.user_expressions.it;
            }""",
            [self.path, expression],
        )
        assert found["status"] == "ok", found
        return str(found["data"]["text/plain"])

    # -- its controls

    def button(self, label: str, *, within: Locator | None = None) -> Locator:
        """Return the buttons on the screen that say this. By their text and not by their role's name: an icon is a part of that."""
        box = within or self.page.locator(".jp-NotebookPanel")
        return box.locator("button:visible").filter(has_text=re.compile(rf"^\s*{re.escape(label)}\s*$"))

    def click(self, label: str, *, within: Locator | None = None) -> None:
        """Press the first button that says this."""
        self.button(label, within=within).first.click()

    def tab(self, title: str, *, within: Locator | None = None) -> None:
        """Turn to a tab of a panel."""
        tabs = (within or self.page.locator(".jp-NotebookPanel")).locator(".widget-tab .lm-TabBar-tab")
        tabs.filter(has_text=re.compile(rf"^\s*{re.escape(title)}\s*$")).first.click()

    def control(self, label: str, *, within: Locator | None = None) -> Locator:
        """Return the widget that carries this description."""
        box = within or self.page.locator(".jp-NotebookPanel")
        labels = self.page.locator(".widget-label", has_text=re.compile(rf"^\s*{re.escape(label)}\s*$"))
        return box.locator(".jupyter-widgets").filter(has=labels).last

    def slide(self, label: str, steps: int, *, within: Locator | None = None) -> None:
        """Move a slider by so many steps with the arrow keys."""
        handle = self.control(label, within=within).get_by_role("slider").first
        handle.focus()
        for _ in range(abs(steps)):
            handle.press("ArrowRight" if steps > 0 else "ArrowLeft")

    def pick(self, label: str, *choices: str, within: Locator | None = None) -> None:
        """Choose from a dropdown or a list of choices."""
        self.control(label, within=within).locator("select").select_option(label=list(choices))

    def type(self, label: str, text: str, *, within: Locator | None = None) -> None:
        """Write into a text box and leave it."""
        box = self.control(label, within=within).locator("input, textarea").first
        box.fill(text)
        box.blur()

    # -- its life

    def save(self) -> nbformat.NotebookNode:
        """Save the notebook and return what is in the file."""
        self.page.evaluate("path => lab.panel(path).context.save()", self.path)
        self._until("path => !lab.panel(path).context.model.dirty")
        return self.saved

    def reload(self) -> None:
        """Load the whole page again, as F5 does; the kernel goes on.

        JupyterLab gives the kernel four seconds to tell what every widget is; on a machine that is too busy for that it shows
        none, and a person presses F5 again.
        """
        for _ in range(3):
            self.page.reload()
            self._restored()
            self._until("path => lab.kernel(path) === 'idle'")
            self._until("path => !lab.panel(path).content.node.textContent.includes('Loading widget')")
            if self.page.get_by_text("Error displaying widget").count() == 0:
                return

    def shut(self) -> None:
        """Shut the notebook's kernel down."""
        self.page.evaluate("path => lab.panel(path).sessionContext.shutdown()", self.path)
        self._until("path => ['none', 'dead', 'unknown'].includes(lab.kernel(path))")

    def reopen(self) -> None:
        """Open the saved file as a colleague does who has no kernel for it: nothing runs, and nothing is known but the file."""
        self.shut()
        notebook = self.saved
        # Of another language: a kernel of the same one would be started unasked in the place of the one that is named.
        notebook.metadata.clear()
        notebook.metadata["kernelspec"] = {"name": "elsewhere", "display_name": "elsewhere", "language": "other"}
        self.folder = self.server.root / f"{self.folder.name}-reopened"
        self.folder.mkdir()
        self.path = f"{self.folder.name}/notebook.ipynb"
        nbformat.write(notebook, self.file)
        self._goto()
        dialog = self.page.locator(".jp-Dialog")
        dialog.locator("select").select_option(label="No Kernel")
        dialog.get_by_role("button", name="Select", exact=False).last.click()
        dialog.wait_for(state="detached")
        assert self.page.evaluate("path => lab.kernel(path)", self.path) == "none"

    def leave(self) -> None:
        """Close the notebook and have its kernel shut down; the page is then as the next test wants it."""
        self.page.remove_listener("request", self._asked)
        self.page.remove_listener("pageerror", self._failed)
        self.page.evaluate("() => lab.leave()")

    def reading(self) -> str:
        """Return all that a person reads in the notebook."""
        cells = self.page.locator(".jp-NotebookPanel .jp-Notebook .jp-Cell")
        return "\n".join(f"[{i}] {cell.inner_text()}" for i, cell in enumerate(cells.all()))

    def account(self) -> str:
        """Return what the page says and where its picture is; for the report of a test that failed."""
        from playwright.sync_api import Error

        folder = Path(os.environ.get("ROUTELAB_SCREENSHOTS", self.server.root.parent / "pictures"))
        folder.mkdir(parents=True, exist_ok=True)
        picture = folder / f"{self.folder.name}.png"
        try:
            self.page.screenshot(path=picture)
            said = self.reading()
        except Error as gone:
            return f"the page is gone: {gone}"
        return f"picture: {picture}\nerrors on the page: {self.trouble}\n{said}"
