"""The viewer's controls, and what they stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets

from routelab.core.errors import ConfigError
from routelab.panels.chunkcut import EMBEDDERS, Cut, Found, kinds
from routelab.panels.chunkpage import page_of
from routelab.panels.chunkshown import Place
from routelab.panels.chunktexts import FOLDER, PASTED, Texts
from routelab.panels.parts import button, column, dropdown, number, row, whole
from routelab.present import safe
from routelab.retrieval import WAYS

NO_QUESTION = "– none: a prompt of your own –"
CHARACTERS = 4
"""About how many characters a token has: what a size becomes when its unit changes."""


class Controls:
    """Everything that can be turned in the viewer. `opening`, `cutting`, `asking` and `paging` are its rows."""

    def __init__(self) -> None:
        self._opening()
        self._cutting()
        self._asking()
        self._paging()

    def _opening(self) -> None:
        tip = "documents that ship with the package, texts of this notebook, a folder or a file, or what you paste"
        self.source = dropdown("text", [PASTED], tip=tip, width="30em")
        self.path = text("path", "a folder of .md and .txt texts, or one file", "30em")
        self.questions = text("questions", "question,references,corpus_id; may be left empty", "24em")
        self.pasted = ipywidgets.Textarea(
            placeholder="paste a text, then press Open",
            tooltip="the text to cut; it stays in this notebook",
            layout={"width": "100%", "max_width": "860px", "height": "8em"},
        )
        self.open = button("Open", "read it and cut it", icon="folder-open", style="primary")
        self.refresh = button("Refresh", "look again at the notebook's variables", icon="refresh")
        self.opening = column(row(self.source, self.path, self.questions, self.open, self.refresh), self.pasted)
        self.sourced()

    def _cutting(self) -> None:
        self.kind = dropdown("chunker", list(kinds()), tip="how the text is cut", width="14em")
        self.kind.value = "recursive"
        self.size = whole("size", 200, 1, 100_000, "the most that a chunk may have", "10em", step=50)
        tip = "how much of a chunk the next one repeats, in per cent of the size"
        self.overlap = number("overlap, %", 20.0, least=0.0, most=90.0, step=5.0, tip=tip, width="11em")
        self.unit = dropdown(
            "in", ["tokens", "characters"], tip="what the size counts (tokens: o200k_base)", width="10em"
        )
        tip = "a boundary is where the distance is above this percentile of all distances of the text; lower: more boundaries"
        self.percentile = number("threshold, percentile", 90.0, least=0.0, most=100.0, step=1.0, tip=tip, width="16em")
        self.borders = dropdown(
            "borders by", list(EMBEDDERS), tip="whose vectors say where a text turns to something else"
        )
        self.document = dropdown(
            "document", [""], tip="the one that is shown; figures and hits are about all", width="22em"
        )
        self.cutting = row(self.document, self.kind, self.size, self.overlap, self.unit, self.percentile, self.borders)
        self.kinded("recursive", "recursive")

    def _asking(self) -> None:
        self.question = dropdown(
            "question", [(NO_QUESTION, -1)], tip="questions whose answers are known as stretches", width="44em"
        )
        self.question.layout.max_width = "100%"
        self.prompt = ipywidgets.Text(
            description="find",
            placeholder="what to look for in all documents",
            tooltip="what to look for in all documents",
            continuous_update=False,
            style={"description_width": "initial"},
            layout={"flex": "1 1 24em", "min_width": "0", "max_width": "52em"},
        )
        self.k = whole("k", 5, 1, 100, "how many chunks are retrieved", "7em")
        self.by = dropdown("by", list(WAYS), tip="vectors: meaning; words: BM25; hybrid: the ranks of both")
        self.embedder = dropdown("with", list(EMBEDDERS), tip="whose vectors say how near a chunk is")
        self.find = button("Find", "look for it", icon="search")
        self.asking = column(row(self.question), row(self.prompt, self.k, self.by, self.embedder, self.find))

    def _paging(self) -> None:
        self.before = button("‹ page", "the page before")
        self.after = button("page ›", "the next page")
        self.page = ipywidgets.IntSlider(
            min=1,
            max=1,
            description="page",
            tooltip="which part of the document is shown",
            continuous_update=False,
            style={"description_width": "initial"},
            layout={"width": "20em"},
        )
        self.chunk = whole("chunk", 1, 1, 1, "go to this chunk of the document", "9em")
        self.hit = dropdown("hit", [("–", 0)], tip="go to what was found", width="22em")
        self.paging = row(self.before, self.page, self.after, self.chunk, self.hit)

    # What they show

    def sourced(self) -> None:
        """Show the boxes that belong to the source, and no others."""
        value = self.source.value
        self.pasted.layout.display = "" if value == PASTED else "none"
        self.path.layout.display = self.questions.layout.display = "" if value == FOLDER else "none"

    def kinded(self, old: str, new: str) -> None:
        """Fit the controls to a kind of chunker: its unit, and the size with it."""
        unit = (
            "characters"
            if new == "characters"
            else "tokens"
            if new == "tokens" or old == "characters"
            else self.unit.value
        )
        if unit != self.unit.value:
            factor = CHARACTERS if unit == "characters" else 1 / CHARACTERS
            self.size.value = max(1, round(self.size.value * factor))
            self.unit.value = unit
        self.unit.disabled = new in ("tokens", "characters")
        self.percentile.layout.display = self.borders.layout.display = "" if new == "semantic" else "none"

    def cut_by(self, spec: Mapping[str, Any]) -> None:
        """Stand for a chunker's mapping; ConfigError for what the controls cannot say."""
        known = {
            "kind": self.kind,
            "size": self.size,
            "unit": self.unit,
            "percentile": self.percentile,
            "embedder": self.borders,
        }
        for name in spec:
            if name not in (*known, "overlap"):
                raise ConfigError(
                    f"chunker.{name}: the viewer has no control for it", hint=f"it has {', '.join(known)}, overlap"
                )
        before = str(self.kind.value)
        self.kind.value = spec.get("kind", before)
        self.kinded(before, str(self.kind.value))
        for name, control in known.items():
            if name in spec and name != "kind":
                control.value = spec[name]
        if "overlap" in spec:
            share = spec["overlap"]
            self.overlap.value = 100 * (share / self.size.value if isinstance(share, int) else share)

    def filled(self, texts: Texts) -> None:
        """List the documents and the questions of what was opened."""
        _options(self.document, [(safe(name, 60), name) for name in texts.documents])
        asked = texts.questions
        listed = [] if asked is None else [(f"{i + 1}. {safe(text, 140)}", i) for i, text in enumerate(asked.texts)]
        _options(self.question, [(NO_QUESTION, -1), *listed])
        self.question.layout.display = "" if listed else "none"
        self.prompt.value = ""

    def placed(self, place: Place, cut: Cut, found: Found | None) -> None:
        """Stand where one looks."""
        chunks = cut.chunks[place.document]
        borders = place.borders(cut)
        self.document.value = place.document
        self.page.max = max(1, len(borders) - 1)
        self.page.value = page_of(borders, place.at) + 1
        self.before.disabled, self.after.disabled = self.page.value == 1, self.page.value == self.page.max
        self.chunk.max = max(1, len(chunks))
        self.chunk.value = place.chunk + 1
        hits = [] if found is None else found.hits
        _options(
            self.hit, [("–", 0), *((f"★{h.rank} {h.score:.3f} {safe(h.passage.source, 40)}", h.rank) for h in hits)]
        )
        here = cut.first[place.document] + place.chunk
        self.hit.value = next((h.rank for h in hits if h.position == here), 0)

    @property
    def spec(self) -> dict[str, Any]:
        """The chunker's mapping that the controls stand for."""
        kind = str(self.kind.value)
        made: dict[str, Any] = {"kind": kind, "size": int(self.size.value), "overlap": self.overlap.value / 100}
        if not self.unit.disabled:
            made["unit"] = self.unit.value
        if kind == "semantic":
            made |= {"percentile": self.percentile.value, "embedder": self.borders.value}
        return made


def _options(control: ipywidgets.Dropdown, options: Sequence[tuple[str, Any]]) -> None:
    if list(control.options) != list(options):
        kept = control.value
        control.options = options
        control.value = kept if kept in [value for _, value in options] else options[0][1]


def text(label: str, placeholder: str, width: str, *, value: str = "") -> ipywidgets.Text:
    """Return a box for a line of text."""
    return ipywidgets.Text(
        value=value,
        description=label,
        placeholder=placeholder,
        tooltip=placeholder,
        continuous_update=False,
        style={"description_width": "initial"},
        layout={"width": width},
    )
