"""The chunk viewer driven through its controls: cut, searched, paged, and shown as it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cached import elements, read
from chunked import HOSTILE, SOURCES, corpora, fact, questions, settled

from routelab.chunking import chunker_of
from routelab.core.errors import Cancelled, ConfigError, DataError
from routelab.embedding import vectors
from routelab.lab.chunks.ledger import Ledger
from routelab.lab.desk import Desk
from routelab.lab.session import Lab
from routelab.panels.chunkcontrols import NO_QUESTION
from routelab.panels.chunklook import START, Look
from routelab.panels.chunktab import Chunking, chunking
from routelab.panels.chunktexts import FOLDER, PASTED, offer_of, offers, opened
from routelab.retrieval import Library, Search, whole
from routelab.testing import Scripted, fleet


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(fleet=fleet({"good": Scripted("four")})) as lab:
        yield lab


def looking(lab: Lab, value: Any) -> Look:
    """Return the viewer over a value, ready."""
    made = Look(lab.desk, begin=False)
    made.controls.embedder.value = "lexical"
    made.take(value)
    settled(made.jobs)
    assert made.line.text == ""
    assert made.cut is not None
    return made


def test_without_a_text_it_says_what_can_be_opened(lab: Lab) -> None:
    made = Look(lab.desk, begin=False)
    assert made.panel.still()["text/plain"] == START
    assert list(made.controls.source.options)[-2:] == [FOLDER, PASTED]
    assert "handbook (shipped)" in made.controls.source.options


def test_the_tab_begins_with_the_handbook(lab: Lab) -> None:
    made = Chunking(lab.desk)
    settled(made.look.jobs)
    assert made.look.cut is not None
    assert "handbook: 12 documents" in made.panel.still()["text/plain"]
    assert made.look.controls.question.options[0] == (NO_QUESTION, -1)


@pytest.mark.parametrize(
    ("kind", "size", "overlap"),
    [("tokens", 50, 0), ("recursive", 80, 20), ("markdown", 60, 10), ("characters", 300, 25)],
)
def test_every_turn_of_a_control_shows_what_the_chunker_makes(lab: Lab, kind: str, size: int, overlap: int) -> None:
    made = looking(lab, corpora())
    made.controls.kind.value = kind
    made.controls.size.value, made.controls.overlap.value = size, overlap
    settled(made.jobs)
    assert made.line.text == ""
    assert made.cut is not None
    chunker = chunker_of({"kind": kind, "size": size, "overlap": overlap / 100})
    wanted = {name: chunker(text, name) for name, text in corpora().items()}
    assert made.cut.chunks == wanted
    ledger = Ledger.of(corpora())
    tokens = [ledger.tokens(c.source, (c.start, c.end)) for chunks in wanted.values() for c in chunks]
    figures = dict(made.cut.figures().rows)
    assert figures["chunks"] == f"{len(tokens)}"
    assert figures["tokens in them"] == f"{sum(tokens):,}"
    assert figures["shortest, longest"] == f"{min(tokens)}, {max(tokens)}"
    twice = sum(c.repeated for chunks in wanted.values() for c in chunks) / sum(
        len(c.text) for chunks in wanted.values() for c in chunks
    )
    assert figures["duplicated"] == f"{100 * twice:.1f} %"


def test_a_size_keeps_its_meaning_when_the_unit_changes(lab: Lab) -> None:
    made = looking(lab, corpora())
    made.controls.size.value = 100
    made.controls.kind.value = "characters"
    assert (made.controls.size.value, made.controls.unit.value, made.controls.unit.disabled) == (
        400,
        "characters",
        True,
    )
    made.controls.kind.value = "recursive"
    assert (made.controls.size.value, made.controls.unit.value, made.controls.unit.disabled) == (100, "tokens", False)
    settled(made.jobs)


def test_the_threshold_of_semantic_borders_is_a_control(lab: Lab) -> None:
    made = looking(lab, corpora())
    made.controls.borders.value = "lexical"
    assert made.controls.percentile.layout.display == "none"
    made.controls.kind.value = "semantic"
    settled(made.jobs)
    assert made.controls.percentile.layout.display == ""
    assert made.cut is not None
    few = len(made.cut.passages)
    made.controls.percentile.value = 40
    settled(made.jobs)
    assert made.cut is not None
    assert len(made.cut.passages) > few
    spec = {"kind": "semantic", "size": 200, "overlap": 0.2, "embedder": "lexical", "percentile": 40.0}
    assert made.cut.chunks["attic"] == chunker_of(spec)(corpora()["attic"], "attic")


def test_a_question_leads_to_its_answer_and_its_measures(lab: Lab) -> None:
    asked = questions()
    made = looking(lab, asked)
    made.controls.kind.value = "markdown"
    made.controls.size.value = 60
    made.controls.question.value = 19  # the garage's camera
    settled(made.jobs)
    assert made.found is not None
    assert made.cut is not None
    hits = Library(passages=made.cut.passages, embedder=whole("lexical")).search([asked.texts[19]], Search(k=5))[0]
    assert [(h.position, h.rank) for h in made.found.hits] == [(h.position, h.rank) for h in hits]
    assert np.allclose([h.score for h in made.found.hits], [h.score for h in hits])
    source, [(start, _end)] = asked.sources[19], asked.spans[19]
    assert (made.place.document, made.place.at) == (source, start)
    chunk = made.cut.chunks[source][made.place.chunk]
    assert chunk.start <= start < chunk.end
    assert fact(SOURCES.index(source), 3)[:20] in read(made._page.value)
    assert 'class="rl-gold"' in made._page.value
    assert made.found.told().startswith(f"5 of {len(made.cut.passages)} chunks by vectors (lexical): recall ")
    assert len(read(made._hits.value).split("★")) == 6
    still = made.panel.still()
    assert "of the answer" in still["text/plain"]
    assert "recall" in still["text/html"]


def test_a_prompt_of_ones_own_has_hits_and_no_gold(lab: Lab) -> None:
    made = looking(lab, questions())
    made.controls.by.value = "words"
    made.controls.prompt.value = "freezer number 47 of the garden"
    settled(made.jobs)
    assert made.found is not None
    assert made.found.scores is None
    assert made.place.document == made.found.hits[0].passage.source
    assert 'class="rl-gold"' not in made._page.value
    assert "rl-found" in made._page.value
    made.controls.hit.value = 3
    third = made.found.hits[2].passage
    assert (made.place.document, made.place.at) == (third.source, third.start)
    assert made.controls.document.value == third.source


def test_another_chunker_leaves_one_where_one_is(lab: Lab) -> None:
    made = looking(lab, {"long": corpora()["attic"] * 8})
    made.controls.page.value = 3
    at = made.place.at
    assert at > 0
    made.controls.kind.value = "sentences"
    settled(made.jobs)
    assert (made.place.at, made.controls.page.value) == (at, 3)


def test_pages_and_chunks_are_turned_with_the_keyboard_controls(lab: Lab) -> None:
    made = looking(lab, {"long": corpora()["attic"] * 8})
    assert made.controls.before.disabled
    made.controls.after.click()
    assert made.controls.page.value == 2
    assert not made.controls.before.disabled
    made.controls.chunk.value = 4
    assert made.cut is not None
    assert made.place.at == made.cut.chunks["long"][3].start
    assert "chunk 4: source long" in read(made._under.value)


def test_a_folder_with_its_questions_can_be_opened(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "corpora").mkdir()
    (tmp_path / "corpora" / "a.md").write_text("# Title\n\nThe answer is four.\n", encoding="utf-8")
    reference = '[{""content"": ""four"", ""start_index"": 23, ""end_index"": 27}]'
    (tmp_path / "q.csv").write_text(f'question,references,corpus_id\nWhich?,"{reference}",a\n', encoding="utf-8")
    made = Look(lab.desk, begin=False)
    made.controls.source.value = FOLDER
    assert made.controls.path.layout.display == ""
    made.controls.path.value = str(tmp_path)
    made.controls.open.click()
    settled(made.jobs)
    assert made.texts is not None
    assert made.texts.questions is not None
    assert (list(made.texts.documents), len(made.texts.questions)) == (["a"], 1)
    made.controls.path.value = str(tmp_path / "none")
    made.controls.open.click()
    settled(made.jobs)
    assert "there is no such file or folder" in made.line.text


def test_a_pasted_text_is_cut_and_an_empty_one_is_refused(lab: Lab) -> None:
    made = Look(lab.desk, begin=False)
    made.controls.source.value = PASTED
    made.controls.open.click()
    assert made.line.text == "✗ paste a text into the box first"
    made.controls.pasted.value = "One sentence. Another one."
    made.controls.open.click()
    settled(made.jobs)
    assert made.cut is not None
    assert [c.text for c in made.cut.passages] == ["One sentence. Another one."]


def test_what_cannot_be_cut_is_said_in_one_line_and_the_last_view_stays(lab: Lab) -> None:
    made = looking(lab, corpora())
    before = made.cut
    made.controls.size.value = 1
    made.controls.overlap.value = 90
    settled(made.jobs)
    assert made.line.text == ""
    made.controls.kind.value = "tokens"
    settled(made.jobs)
    assert made.cut is not before
    with pytest.raises(ConfigError, match="a int is nothing to cut"):
        made.take(3)
    with pytest.raises(DataError, match="there is no such file or folder"):
        opened("/nowhere/at/all")
    with pytest.raises(ConfigError, match="name a folder"):
        opened(" ")


def test_hostile_documents_names_and_questions_stay_text(lab: Lab) -> None:
    asked = questions(hostile=True)
    made = looking(lab, asked)
    made.controls.question.value = 3
    settled(made.jobs)
    for value in (made._page.value, made._hits.value, made._told.value, made.panel.still()["text/html"]):
        assert elements(value) <= {
            *("html", "head", "body", "style", "div", "span", "b", "i", "u"),
            *("table", "thead", "tbody", "tr", "th", "td", "br"),
        }
    named = looking(lab, {HOSTILE + str(i): "a text " * 60 for i in range(2)})
    assert "<script" not in named.panel.still()["text/html"]
    assert not any("\u202e" in label for label, _ in named.controls.document.options)


def test_what_is_offered(lab: Lab) -> None:
    assert offer_of("a", "short") is None
    assert offer_of("a", 3) is None
    assert offer_of("a", ["short"]) is None
    found = offer_of("a", ["x" * 300, "y"])
    assert found is not None
    assert found.title == "a: 2 documents"
    assert list(found.read().documents) == ["a[0]", "a[1]"]
    desk = Desk(lab, names=lambda: {"In": ["x" * 300], "notes": "y" * 300})
    assert [title for title in offers(desk) if "shipped" not in title] == ["notes: 300 characters"]
    lab.corpora["faq"] = {"one.md": "the text " * 40}
    assert "faq (lab.corpora)" in offers(lab.desk)
    assert offers(lab.desk)["faq (lab.corpora)"].read().documents.keys() == {"one.md"}


def test_an_empty_document_has_no_chunk_and_no_trouble(lab: Lab) -> None:
    made = looking(lab, {"full": "word " * 100, "empty": ""})
    made.controls.document.value = "empty"
    assert "an empty text has no chunk" in made.panel.still()["text/plain"]
    assert (made.controls.page.value, made.controls.chunk.value) == (1, 1)


def test_stop_keeps_what_was_shown(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    made = looking(lab, corpora())
    before, begun, go = made.cut, threading.Event(), threading.Event()

    def waits(spec: Any, texts: Sequence[str]) -> Any:
        begun.set()
        assert go.wait(30)
        return vectors(spec, texts)

    monkeypatch.setattr("routelab.panels.chunkcut.vectors", waits)
    made.controls.borders.value = "lexical"
    made.controls.kind.value = "semantic"
    assert begun.wait(30)
    assert made.running.widget.layout.display == "flex"
    made.running.stop.click()
    with pytest.raises(Cancelled):
        made.jobs[-1].result(30)
    go.set()
    assert made.line.text == "stopped; what is shown is from before"
    assert made.cut is before
    assert made.running.widget.layout.display == "none"


def test_a_newer_wish_overtakes_an_older_one(lab: Lab) -> None:
    made = looking(lab, corpora())
    for size in (90, 80, 70):
        made.controls.size.value = size
    settled(made.jobs)
    assert made.cut is not None
    assert made.cut.spec["size"] == 70
    assert made.line.text == ""


def test_the_panel_opens_a_value_at_once(lab: Lab) -> None:
    with pytest.raises(ConfigError, match="nothing to cut"):
        chunking(lab.desk, 3)
    with pytest.raises(ConfigError, match=r"chunker\.fill: the viewer has no control for it"):
        chunking(lab.desk, corpora(), chunker={"kind": "markdown", "fill": 0.3})
    assert chunking(lab.desk, corpora()).name == "chunking"


def test_a_value_is_opened_once_as_it_was_asked_for(lab: Lab) -> None:
    made = Look(lab.desk, begin=False)
    made.controls.embedder.value = "lexical"
    made.take(questions(), chunker={"kind": "sentences", "size": 70, "overlap": 7}, question=19)
    settled(made.jobs)
    assert made.cut is not None
    assert made.cut.spec == {"kind": "sentences", "size": 70, "overlap": 0.1, "unit": "tokens"}
    assert made.found is not None
    assert made.found.question == 19
    assert len(made.jobs) == 2  # it was read once, and cut and searched once
