"""The chunk viewer: a text as a chunker cuts it, what a prompt finds in it, and where the answer stands."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets

from routelab.chunking import chunker_of
from routelab.core.errors import ConfigError, RoutelabError
from routelab.lab.chunks.ledger import Ledger
from routelab.lab.desk import Desk
from routelab.lab.job import Job
from routelab.panels.chunkcontrols import Controls
from routelab.panels.chunkcut import Cut, Found, Held, Result, Wish, result
from routelab.panels.chunkshown import STYLE, Place, shown
from routelab.panels.chunktexts import FOLDER, PASTED, Offer, Texts, offer_of, offers, opened, pasted
from routelab.panels.later import handed_over
from routelab.panels.panel import Panel
from routelab.panels.parts import Guard, Line, Running, column, html, put
from routelab.present import bundle, framed, note
from routelab.retrieval import Search

START = "Choose a text: one that ships with the package, a variable of this notebook, a folder or a file, or paste one."
SIDE = {"flex": "0 1 330px", "min_width": "0", "margin": "0 18px 0 0"}
WIDE_SIDE = {**SIDE, "flex": "1 1 330px"}
SIDES = {"display": "flex", "flex_flow": "row wrap", "align_items": "flex-start", "width": "100%"}


class Look:
    """The part of the tab that shows one text. `cut` and `found` are what is shown, `place` is where."""

    def __init__(self, desk: Desk, *, begin: bool = True) -> None:
        self.desk = desk
        self.cut: Cut | None = None
        self.found: Found | None = None
        self.place = Place()
        self.texts: Texts | None = None
        self.jobs: list[Job] = []
        self._ledger: Ledger | None = None
        self._held: Held | None = None
        self._offers: Mapping[str, Offer] = {}
        self._given: Mapping[str, Offer] = {}
        self._halt = threading.Event()
        self._wish: Wish | None = None
        self._asked: tuple[str, int | None] = ("", None)
        self._quiet = self._listed = False
        self._first: int | None = None
        self._build()
        self.panel = Panel(self._live, self.still, name="chunks: look")
        self._guard(self.renew)()
        if begin:
            self._guard(lambda: self._open() if self._offers else None)()
        desk.hear("log", self._guard(self.renew))

    def _build(self) -> None:
        self.line, self.running = Line(), Running()
        self._guard = guard = Guard(self.line)
        self.controls = made = Controls()
        self._head, self._figures, self._drawing = html(), html(), html()
        self._figures.layout, self._drawing.layout = ipywidgets.Layout(**SIDE), ipywidgets.Layout(**WIDE_SIDE)
        self._told, self._page, self._under, self._hits = html(), html(), html(), html()
        self._shown = column(
            made.cutting,
            ipywidgets.Box([self._figures, self._drawing], layout=SIDES),
            made.asking,
            self._told,
            made.paging,
            self._page,
            self._under,
            self._hits,
        )
        self._shown.layout.display = "none"
        self.running.widget.layout.display = "none"
        self._live = column(made.opening, self.running.widget, self.line.widget, self._head, self._shown)
        made.source.observe(guard(lambda _: self._sourced()), names="value")
        made.open.on_click(guard(lambda _: self._open()))
        made.refresh.on_click(guard(lambda _: self.renew()))
        made.kind.observe(guard(self._kinded), names="value")
        for control in (made.size, made.overlap, made.unit, made.percentile, made.borders):
            control.observe(guard(lambda _: self._again()), names="value")
        made.question.observe(guard(lambda _: self._questioned()), names="value")
        made.prompt.observe(guard(lambda _: self._again()), names="value")
        for control in (made.k, made.by, made.embedder):
            control.observe(guard(lambda _: self._again()), names="value")
        made.find.on_click(guard(lambda _: self._again()))
        made.document.observe(guard(lambda _: self._turned(document=str(made.document.value), chunk=0)), names="value")
        made.page.observe(guard(lambda _: self._paged()), names="value")
        made.before.on_click(guard(lambda _: self._step(-1)))
        made.after.on_click(guard(lambda _: self._step(1)))
        made.chunk.observe(guard(lambda _: self._turned(chunk=made.chunk.value - 1)), names="value")
        made.hit.observe(guard(lambda _: self._to_hit()), names="value")

    # What to look at

    def renew(self) -> None:
        """Look again at what there is to open."""
        self._offers = {**self._given, **offers(self.desk)}
        made = self.controls
        options = [*self._offers, FOLDER, PASTED]
        if list(made.source.options) != options:
            self._quiet = True
            try:
                # The box for a pasted text is last in the list, and first only where nothing else can be looked at.
                kept = made.source.value if self._listed and made.source.value in options else options[0]
                made.source.options = options
                made.source.value = kept
            finally:
                self._quiet = False
        self._listed = True
        made.sourced()

    def take(self, value: Any, *, chunker: Mapping[str, Any] | None = None, question: int | None = None) -> None:
        """Open a value, such as a variable of the notebook, cut as `chunker` says, at one of its questions (counted from 0).

        Raises ConfigError for a value that holds no text to cut, and for a chunker that the controls cannot say.
        """
        if chunker is not None:
            self._quiet = True
            try:
                self.controls.cut_by(chunker)
            finally:
                self._quiet = False
        self._first = question
        name = next((name for name, other in self.desk.names.items() if other is value), "given")
        given = offer_of(name, value)
        if given is None:
            raise ConfigError(
                f"chunks: a {type(value).__name__} is nothing to cut",
                hint="a text of 200 characters or more, a mapping or a list of texts, Questions, or a Dataset",
            )
        self._given = {given.title: given}
        self.renew()
        self._quiet = True
        try:
            self.controls.source.value = given.title
        finally:
            self._quiet = False
        self._open()

    def _sourced(self) -> None:
        self.controls.sourced()
        if not self._quiet and self.controls.source.value in self._offers:
            self._open()

    def _open(self) -> None:
        made = self.controls
        title = str(made.source.value)
        if title == PASTED:
            text = made.pasted.value
            if not text.strip():
                raise ConfigError("paste a text into the box first")
            read: Callable[[], Texts] = lambda: pasted(text)  # noqa: E731
        elif title == FOLDER:
            path, questions = made.path.value, made.questions.value
            read = lambda: opened(path, questions)  # noqa: E731
        else:
            read = self._offers[title].read

        def work() -> tuple[Texts, Ledger]:
            texts = read()
            return texts, Ledger.of(texts.documents)

        self._later(f"chunks: open {title}", work, self._there, threading.Event())

    def _there(self, given: tuple[Texts, Ledger]) -> None:
        self.texts, self._ledger = given
        self.cut = self.found = self._held = None
        self._asked = ("", None)
        self.place = Place(document=next(iter(self.texts.documents)))
        self._quiet = True
        try:
            self.controls.filled(self.texts)
        finally:
            self._quiet = False
        first, self._first = self._first, None
        if first is not None and any(value == first for _, value in self.controls.question.options):
            self.controls.question.value = first  # which cuts and searches
        else:
            self._again()

    # What the controls ask for

    def _kinded(self, change: Any) -> None:
        self._quiet = True
        try:
            self.controls.kinded(change["old"], change["new"])
        finally:
            self._quiet = False
        self._again()

    def _questioned(self) -> None:
        if self._quiet:
            return
        made, number = self.controls, self.controls.question.value
        if number >= 0 and self.texts is not None and self.texts.questions is not None:
            self._quiet = True
            try:
                made.prompt.value = self.texts.questions.texts[number]
            finally:
                self._quiet = False
        self._again()

    @property
    def wish(self) -> Wish | None:
        """What the controls ask for now; None without a text."""
        if self.texts is None or self._ledger is None:
            return None
        made, questions = self.controls, self.texts.questions
        prompt, number = made.prompt.value.strip(), int(made.question.value)
        same = number >= 0 and questions is not None and prompt == questions.texts[number].strip()
        return Wish(
            texts=self.texts,
            ledger=self._ledger,
            spec=made.spec,
            prompt=prompt,
            question=number if same else None,
            search=Search(k=made.k.value, by=made.by.value),
            embedder=str(made.embedder.value),
        )

    def _again(self) -> None:
        """Cut and search as the controls ask; what is still under way for an earlier wish is stopped."""
        if self._quiet:
            return
        self._wish = wish = self.wish
        if wish is None:
            return
        chunker_of(wish.spec)  # says at once what cannot be
        self._halt.set()
        self._halt = halt = threading.Event()
        before, held = self.cut, self._held

        def work() -> Result | None:
            try:
                return result(wish, before, held, halt)
            except RoutelabError:
                if halt.is_set():
                    return None  # another wish has come, or Stop was pressed
                raise

        def there(given: Result | None) -> None:
            if self._wish is wish and given is not None:
                self._cut_there(given)

        self.line.say("cutting and searching …" if wish.prompt else "cutting …")
        name = f"chunks: {wish.spec['kind']} {wish.spec['size']:,}"
        self._later(name, work, there, halt, follow=wish.slow)

    def _later(
        self,
        name: str,
        work: Callable[[], Any],
        then: Callable[[Any], None],
        halt: threading.Event,
        *,
        follow: bool = False,
    ) -> None:
        async def play() -> None:
            try:
                await handed_over(work, then, self._guard)
            except asyncio.CancelledError:
                halt.set()
                self.line.say("stopped; what is shown is from before")
                raise

        job = Job(name, play)
        self.jobs.append(job)
        if follow:
            self.running.widget.layout.display = "flex"
            self.running.follow(job, ended=self._over)

    def _over(self, job: Job) -> None:
        # What is shown says it all; only trouble keeps its line.
        if job is self.running.job:
            self.running.widget.layout.display = "none"

    def _cut_there(self, given: Result) -> None:
        made, hits = given.cut, given.found
        self.cut, self.found, self._held = made, hits, given.held
        self.line.say("")
        self._shown.layout.display = ""
        asked = ("", None) if hits is None else (hits.prompt, hits.question)
        place = self.place
        if asked != self._asked:
            # A new prompt leads to its answer, or to what was found first; another chunker leaves one where one is.
            place = place.to(made, hits)
        self._asked = asked
        self._go(place)

    # Where one looks

    def _go(self, place: Place) -> None:
        assert self.cut is not None
        self.place = place.within(self.cut)
        self._quiet = True
        try:
            self.controls.placed(self.place, self.cut, self.found)
        finally:
            self._quiet = False
        self._show()

    def _turned(self, *, document: str | None = None, chunk: int = 0) -> None:
        if self._quiet or self.cut is None:
            return
        name = self.place.document if document is None else document
        chunks = self.cut.chunks[name]
        self._go(Place(document=name, at=chunks[chunk].start if chunks else 0, chunk=chunk))

    def _paged(self) -> None:
        if not self._quiet and self.cut is not None:
            self._go(self.place.page(self.cut, int(self.controls.page.value) - 1))

    def _step(self, by: int) -> None:
        page = self.controls.page
        page.value = min(max(page.value + by, page.min), page.max)

    def _to_hit(self) -> None:
        rank = self.controls.hit.value
        if self._quiet or self.cut is None or self.found is None or not rank:
            return
        passage = self.found.hits[rank - 1].passage
        chunk = self.found.hits[rank - 1].position - self.cut.first[passage.source]
        self._go(Place(document=passage.source, at=passage.start, chunk=chunk))

    # What is shown

    def _show(self) -> None:
        assert self.cut is not None
        now = shown(self.cut, self.found, self.place)
        put(self._head, "".join(note(line) for line in now.says))
        put(self._figures, f"{STYLE}{now.figures.html()}", more="rl-chunkfigures")
        put(self._drawing, now.drawing)
        put(self._told, note(now.told) if now.told else "")
        put(self._page, f"{now.legend}{now.page}")
        put(self._under, note(now.under))
        put(self._hits, "" if now.hits is None else f"{STYLE}{now.hits.html()}", more="rl-chunkhits")
        self.panel.refresh()

    def still(self) -> dict[str, str]:
        """Return what is shown now as text and HTML."""
        if self.cut is None:
            return bundle(self.line.text or START)
        now = shown(self.cut, self.found, self.place)
        more = [] if now.hits is None else [now.hits]
        text = bundle(*now.says, now.figures, *([now.told] if now.told else []), *more, now.under, now.plain)[
            "text/plain"
        ]
        told = note(now.told) if now.told else ""
        body = [*(note(line) for line in now.says), now.figures.html(), told, now.legend, now.page, note(now.under)]
        return {"text/plain": text, "text/html": framed("".join([*body, *(t.html() for t in more)]))}
