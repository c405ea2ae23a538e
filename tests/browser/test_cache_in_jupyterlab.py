"""The Cache tab in a real JupyterLab: opened, moved, confirmed, copied; hostile pairs stay text; a decision is explained."""

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
PAIRS = r"""
things = 'printer router kettle bicycle camera heater mirror window drawer ladder blanket carpet'.split()
bad = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script> $x$'
mine = [row for i, t in enumerate(things) for row in (
    {'text_a': f'How do I clean the {t}?', 'text_b': f'How can I clean the {t}?', 'label': 1, 'slice': 'wording'},
    {'text_a': f'Where is the {t} in room {i}?', 'text_b': f'where is the {t}, in room {i}', 'label': 1, 'slice': 'wording'},
    {'text_a': f'How do I turn on the {t}? {bad}', 'text_b': f'How do I turn off the {t}? {bad}', 'label': 0, 'slice': bad},
    {'text_a': f'Is the {t} worth {i+3} dollars?', 'text_b': f'Is the {t} worth {i+30} dollars?', 'label': 0, 'slice': 'number'})]
"""


def test_a_threshold_is_moved_confirmed_when_asked_and_copied(lab_page: LabPage) -> None:
    lab_page.open(PRACTICE + PAIRS, "lab().panel()")
    lab_page.run()
    bench, still = lab_page.live(1), lab_page.still(1)
    lab_page.tab("Cache", within=bench)
    bench = bench.locator(".rl-cache-choose")
    lab_page.pick("tune on", "mine: 48 rows of labelled pairs", within=bench)
    lab_page.pick("embedder", "lexical", within=bench)
    lab_page.click("Open", within=bench)
    expect(bench).to_contain_text(re.compile(r"mine: \d+ pairs are looked at, \d+ are held out"))
    lab_page.type("false hits at most, %", "40", within=bench)
    lab_page.click("Best", within=bench)
    figures = bench.locator(".rl-verdict:visible").first
    expect(figures).to_contain_text("(within the budget of 40.00 %)")
    expect(bench.locator("svg.rl-curves")).to_be_visible()
    before = figures.inner_text()
    lab_page.slide("threshold", -6, within=bench)
    expect(figures).not_to_have_text(before)
    expect(still).to_contain_text("were not looked at")
    expect(bench.get_by_text("held-out half used")).to_have_count(0)
    lab_page.pick("guard", "none", within=bench)
    expect(bench).to_contain_text("would be false hits")
    lab_page.pick("guard", "lexical", within=bench)
    lab_page.click("Best", within=bench)
    bench.locator("button:visible", has_text="Confirm on").click()
    expect(bench).to_contain_text("held-out half used 1 time")
    expect(bench).to_contain_text("adopt at")
    lab_page.click("Copy config", within=bench)
    box = lab_page.control("to copy", within=bench).locator("textarea")
    expect(box).to_have_value(re.compile(r"^# lexical, lexical guard: adopt at "))
    copied = yaml.safe_load(box.input_value())["cache"]
    assert copied["exact"] is True
    assert copied["semantic"]["guard"] == "lexical"
    expect(still).to_contain_text("Confirmed: lexical, lexical guard: adopt at")
    lab_page.slide("threshold", 1, within=bench)
    expect(bench).to_contain_text("this belongs to an earlier place")
    assert lab_page.page.evaluate("window.pwned === undefined")
    assert bench.locator("img[src='x'], .rl script").count() == 0
    assert (lab_page.abroad, lab_page.trouble) == ([], [])


def test_a_hit_is_explained_and_the_log_tells_what_the_caches_did(lab_page: LabPage) -> None:
    lab_page.open(
        PRACTICE
        + """\
lab().arms["kept"] = rl.RouteConfig(name="kept", models=["qwen-local"], strategy={"kind": "fixed", "model": "qwen-local"},
                                    cache={"exact": True, "semantic": {"threshold": 0.7, "embedder": "lexical"}})
router = lab().router("kept")
for text in ["How do I turn on the printer?", "How can I turn on the printer?", "How do I turn off the printer?"]: router.route(text)
""",
        "lab().panel()",
    )
    lab_page.run()
    bench = lab_page.live(1)
    lab_page.tab("Cache", within=bench)
    lab_page.click("What the caches did", within=bench)
    expect(bench).to_contain_text("the latest hits (all simulated)")
    expect(bench).to_contain_text(re.compile("polarity: "))
    lab_page.click("Why was this a hit", within=bench)
    bench = bench.locator(".rl-cache-why")
    lab_page.pick("as", "kept's cache", within=bench)
    lab_page.type("question", "How can I turn on the printer?", within=bench)
    lab_page.click("Explain", within=bench)
    expect(bench).to_contain_text("A hit of the semantic cache: the answer of run")
    expect(lab_page.still(1)).to_contain_text("the nearest entries, whatever their namespace")
    lab_page.type("another", "How do I turn off the printer?", within=bench)
    lab_page.click("Explain", within=bench)
    expect(bench).to_contain_text("A miss: the guard objects to polarity")
    assert lab_page.evaluated("lab().log.query('select count(*) from runs')") == "[(3,)]"
    assert (lab_page.abroad, lab_page.trouble) == ([], [])
