"""Save an arm as a file: for routelab or another router, with the evidence, a preview, and the list of what is lost."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets

from routelab.core.errors import ConfigError
from routelab.lab.compare import Comparison
from routelab.lab.export import TARGETS, evidence, runnable, write_winner
from routelab.lab.job import Job
from routelab.lab.targets import export
from routelab.panels.later import later
from routelab.panels.parts import Guard, Line, button, column, dropdown, html, put, row
from routelab.present import Table, escape, note

if TYPE_CHECKING:
    from routelab.fleet import Fleet
    from routelab.lab.session import Lab

FILES = {"routelab": "winner.yaml", "litellm": "litellm.yaml", "vllm-sr": "vllm-sr.yaml"}
SAYS = {
    "routelab": "routelab (Router.from_yaml runs it)",
    "litellm": "LiteLLM's proxy",
    "vllm-sr": "vLLM Semantic Router",
}
LOOK = (
    "<style>.rl.rl-lossy table{table-layout:fixed;width:100%}.rl.rl-lossy td{overflow-wrap:anywhere;max-width:none!important}"
    ".rl.rl-lossy th:first-child{width:5em}.rl.rl-lossy th:nth-child(2){width:22%}</style>"
)
FRAME = "max-height:22em;overflow:auto;border:1px solid var(--jp-border-color2,var(--vscode-panel-border,#8886));padding:0 8px"


@dataclass(frozen=True, kw_only=True)
class Export:
    """An arm of a comparison that can be saved; `fleet` says where its models are asked unless its config does."""

    comparison: Comparison
    arm: str
    fleet: Fleet | None = None

    @property
    def status(self) -> str:
        """What the file says of the evidence: "confirmed", or "unconfirmed"."""
        return str(evidence(self.comparison, self.comparison[self.arm])["status"])


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The file as it would be written, the names of all files that come with it, and what it cannot say."""

    text: str
    files: tuple[str, ...]
    lossy: Table


def preview(what: Export, *, to: str, name: str = "winner.yaml") -> Preview:
    """Return what `save` would write; ConfigError for a target that cannot decide as the arm does."""
    with tempfile.TemporaryDirectory() as folder:
        # Written for real, so that nothing here can differ from the file.
        path = Path(folder) / name
        write_winner(what.comparison, path, to=to, arm=what.arm, fleet=what.fleet)
        files = tuple(sorted(p.name for p in Path(folder).iterdir()))
        text = path.read_text(encoding="utf-8")
    if to == "routelab":
        lossy = Table(
            head=("touches", "field", "why", "written instead"), rows=(), caption="routelab: nothing was lost"
        )
    else:
        lossy = export(runnable(what.comparison[what.arm]), to=to, fleet=what.fleet).table()
    return Preview(text=text, files=files, lossy=lossy)


def save(what: Export, path: Path, *, to: str, overwrite: bool = False) -> tuple[Path, ...]:
    """Write the file, and those that belong beside it, and return their paths; ConfigError when one is there already."""
    if not path.name:
        raise ConfigError("path: name a file", hint=f"for example {FILES[to]}")
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder", hint=f"name a file in it, such as {path / FILES[to]}")
    files = tuple(path.with_name(name) for name in preview(what, to=to, name=path.name).files)
    there = [file for file in files if file.exists()]
    if there and not overwrite:
        raise ConfigError(
            f"{there[0]}: is there already, so nothing was written", hint="tick 'replace', or name another file"
        )
    write_winner(what.comparison, path, to=to, arm=what.arm, fleet=what.fleet)
    return files


def fleet_for(lab: Lab, config: Any) -> Fleet | None:
    """Return the lab's fleet for a config that names none of its own and asks nobody outside it."""
    known = getattr(config, "fleet", None) is None and all(name in lab.fleet.names for name in config.names)
    return lab.fleet if known else None


class Exporting:
    """The controls that save an arm: target, path, preview. Hidden until something is offered."""

    def __init__(self) -> None:
        self.line = Line()
        self.job: Job | None = None
        self.made: Preview | None = None
        self._what: Export | None = None
        self._guard = Guard(self.line)
        self.target = dropdown(
            "export to", [(SAYS[name], name) for name in TARGETS], tip="who shall run the file", width="24em"
        )
        self.path = ipywidgets.Text(
            value=FILES["routelab"],
            description="file",
            tooltip="where to write; a relative path starts at the kernel's folder",
            continuous_update=False,
            style={"description_width": "initial"},
            layout={"width": "24em"},
        )
        self.overwrite = ipywidgets.Checkbox(
            value=False,
            description="replace",
            tooltip="replace a file that is there already",
            indent=False,
            layout={"width": "auto"},
        )
        self.button = button("Save", "write the file with its evidence", icon="save", style="primary")
        self._head, self._lossy, self._text = html(), html(), html()
        self.widget = column(
            self._head,
            row(self.target, self.path, self.overwrite, self.button),
            self.line.widget,
            self._lossy,
            self._text,
        )
        self.target.observe(self._guard(self._aimed), names="value")
        self.button.on_click(self._guard(self._save))
        self.clear()

    def offer(self, what: Export) -> None:
        """Offer to save an arm."""
        self._what = what
        self.line.say("")
        self.widget.layout.display = ""
        status = what.status
        why = (
            "the file says so, with the evidence"
            if status == "confirmed"
            else "the file is stamped so, because the confirm split did not make this arm the winner"
        )
        put(self._head, f"<div><b>Export {escape(what.arm, 80)}</b> · {status}: {escape(why)}</div>")
        self._look()

    @property
    def offered(self) -> bool:
        """Whether an arm is offered."""
        return self._what is not None

    def clear(self) -> None:
        """Take the offer back."""
        self._what, self.made = None, None
        self.widget.layout.display = "none"

    def _aimed(self, change: Any) -> None:
        if self.path.value in FILES.values():
            self.path.value = FILES[change["new"]]
        self.line.say("")
        self._look()

    def _look(self) -> None:
        what, to = self._what, self.target.value
        if what is None:
            return
        self.made = None
        put(self._text, note("…"))
        put(self._lossy, "")
        self.job = later("preview", lambda: preview(what, to=to), lambda made: self._show(made, what, to), self._guard)

    def _show(self, made: Preview, what: Export, to: str) -> None:
        if self._what is not what or self.target.value != to:
            return
        self.made = made
        put(self._lossy, LOOK + made.lossy.html() if made.lossy.rows else note(made.lossy.caption), more="rl-lossy")
        others = [name for name in made.files if name != FILES["routelab"]]
        beside = f"; beside it: {', '.join(others)}" if others else ""
        body = f'<div style="{FRAME}" tabindex="0"><pre class="c"><code>{escape(made.text, 200_000)}</code></pre></div>'
        put(self._text, note(f"what will be written{beside}:") + body)

    def _save(self, _: Any) -> None:
        what, to, overwrite = self._what, self.target.value, self.overwrite.value
        if what is None:
            return
        path = Path(self.path.value.strip()).expanduser()
        self.line.say("writing …")
        self.job = later("save", lambda: save(what, path, to=to, overwrite=overwrite), self._saved, self._guard)

    def _saved(self, files: tuple[Path, ...]) -> None:
        self.overwrite.value = False
        self.line.say(f"wrote {', '.join(str(file.resolve()) for file in files)}")
