"""The Chunking tab in a real JupyterLab: a text looked at, turned and searched, chunkers compared, hostile documents only text."""

from __future__ import annotations

import re

import yaml
from driven import LabPage, expect

PRACTICE = """\
import routelab as rl
from routelab.notebook import lab
%load_ext routelab
%config RouteLab.log = ":memory:"
fleet = rl.Fleet.practice(latency=0)
%routelab use $fleet
"""
DOCUMENTS = r"""
from routelab.lab.chunks.questions import Questions
bad = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script> $x^2$ and $y^2$'
filler = 'It was painted twice, moved three times and counted once, and then nobody asked for it again. ' * 4
rooms = {r: ''.join(f'# {t} {bad}\n\nThe {t} of the {r} weighs {i + 3} kilograms. It is old, and nobody knows whose it was. {filler}{bad}\n\n'
         for i, t in enumerate('kettle bicycle camera heater mirror ladder carpet'.split())) for r in ('attic', 'cellar', 'garage')}
facts = [(r, t, f'The {t} of the {r} weighs {i + 3} kilograms.') for r in rooms for i, t in enumerate('kettle bicycle camera heater mirror ladder carpet'.split())]
places = [rooms[r].index(f) for r, _, f in facts]
mine = Questions(texts=tuple(f'What does the {t} in the {r} weigh? {bad}' for r, t, _ in facts), sources=tuple(r for r, _, _ in facts),
                 spans=tuple(((p, p + len(f)),) for p, (_, _, f) in zip(places, facts)), corpora=rooms)
"""


def test_a_text_is_looked_at_turned_and_searched(lab_page: LabPage) -> None:
    lab_page.open(PRACTICE + DOCUMENTS, "lab().panel()")
    lab_page.run()
    bench, still = lab_page.live(1), lab_page.still(1)
    lab_page.tab("Chunking", within=bench)
    look = bench.locator(".rl-chunking-look")
    expect(look).to_contain_text("handbook: 12 documents")
    lab_page.pick("with", "lexical", within=look)
    lab_page.pick("text", "mine: 3 documents, 21 questions", within=look)
    expect(look).to_contain_text("mine: 3 documents")
    numbers = look.locator("b.rl-no")
    expect(numbers.first).to_have_attribute("title", re.compile("source: attic\nheadings: none\ncharacters: 0 – "))
    lab_page.pick("chunker", "markdown", within=look)
    lab_page.type("size", "60", within=look)
    expect(look).to_contain_text("cut by markdown 60 tokens, overlap 20%")
    expect(numbers.first).to_have_attribute("title", re.compile("headings: kettle "))
    expect(look.locator(".rl-twice").first).to_be_visible()
    asked = lab_page.control("question", within=look).locator("select")
    asked.select_option(index=10)  # the cellar's camera
    expect(look.locator("b.rl-gold").first).to_have_text("The camera of the cellar weighs 5 kilograms.")
    expect(look.locator("b.rl-no.rl-found").first).to_contain_text("★")
    expect(look).to_contain_text(re.compile(r"5 of \d+ chunks by vectors \(lexical\): recall "))
    expect(still).to_contain_text("of the answer")
    # With the keyboard alone: the next page and the next chunk.
    page = look.get_by_role("slider").first
    page.focus()
    page.press("ArrowRight")
    expect(look).to_contain_text(re.compile(r"cellar: page 2 of \d+"))
    box = lab_page.control("chunk", within=look).locator("input")
    box.focus()
    box.press("ArrowUp")
    expect(look).to_contain_text(re.compile(r"chunk \d+: source cellar · headings "))
    assert lab_page.page.evaluate("window.pwned === undefined")
    assert bench.locator("img[src='x'], .rl script, mjx-container, .MathJax").count() == 0
    assert (lab_page.abroad, lab_page.trouble) == ([], [])


def test_chunkers_are_compared_and_the_winner_is_copied(lab_page: LabPage) -> None:
    lab_page.open(PRACTICE + DOCUMENTS, "lab().panel()")
    lab_page.run()
    bench, still = lab_page.live(1), lab_page.still(1)
    lab_page.tab("Chunking", within=bench)
    lab_page.click("Compare chunkers", within=bench)
    part = bench.locator(".rl-chunking-compare")
    lab_page.pick("texts", "mine: 3 documents, 21 questions", within=part)
    lab_page.pick("with", "lexical", within=part)
    for kind in ("recursive", "semantic"):
        part.get_by_label(kind, exact=True).uncheck()
    lab_page.type("sizes, tokens", "40, 80", within=part)
    lab_page.click("Compare", within=part)
    expect(part).to_contain_text("8 chunkings; 21 questions, 21 answer spans, 3 sources")
    expect(part).to_contain_text("against tokens 80, at 5 passages")
    expect(part).to_contain_text("what the contexts of 1,000 questions cost as input")
    expect(part.locator(".js-plotly-plot").first).to_be_visible()
    lab_page.pick("at", "500 tokens", within=part)
    expect(part).to_contain_text("against tokens 80, at 500 tokens")
    expect(still).to_contain_text("what is found, at 500 tokens")
    lab_page.pick("config of", "markdown 40", within=part)
    lab_page.click("Copy config", within=part)
    copied = lab_page.control("to copy", within=part).locator("textarea")
    expect(copied).to_have_value(re.compile("^# markdown 40: 8 chunkings"))
    assert yaml.safe_load(copied.input_value())["retrieval"]["chunker"] == {"kind": "markdown", "size": 40}
    lab_page.click("Save as arm", within=part)
    expect(part).to_contain_text("saved: cells and the other tabs know it as ")
    assert lab_page.page.evaluate("window.pwned === undefined")
    assert (lab_page.abroad, lab_page.trouble) == ([], [])
