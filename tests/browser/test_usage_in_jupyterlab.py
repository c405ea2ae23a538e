"""The Tokens and Context tabs in a real JupyterLab: filtered, drawn, played, opened; hostile names and texts stay text."""

from __future__ import annotations

import re

from driven import LabPage, expect

PRACTICE = """\
import routelab as rl
from routelab.notebook import lab
%load_ext routelab
%config RouteLab.log = ":memory:"
fleet = rl.Fleet.practice(latency=0)
%routelab use $fleet
bad = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script> $x$'
"""
TALKED = """\
from routelab.lab.contexts.dialogues import planted
talk = planted()[0]
lab().arms["narrow"] = rl.RouteConfig(name="narrow", models=["gpt-5-mini"], context={"kind": "window", "turns": 6},
                                      strategy={"kind": "fixed", "model": "gpt-5-mini"})
router = lab().router("narrow").with_setting(arm="narrow")
for end in talk.requests()[:12]: router.route(list(talk.messages[:end]))
mine = [{"role": "user", "content": bad}, {"role": "assistant", "content": bad}, {"role": "user", "content": bad}]
"""


def test_tokens_are_shown_by_type_filtered_and_still_there_without_widgets(lab_page: LabPage) -> None:
    lab_page.open(
        PRACTICE
        + """\
lab().compare(rl.Dataset.load("workbench").sample(28), ["gpt-5-mini", "qwen-local"])
lab().compare([{"id": "a", "prompt": bad, "task": bad}], ["gpt-5-mini"]);
""",
        "lab().panel()",
    )
    lab_page.run()
    bench, still = lab_page.live(1), lab_page.still(1)
    lab_page.tab("Tokens", within=bench)
    expect(bench).to_contain_text("(all simulated) of 15 query types")
    expect(bench).to_contain_text("Tokens in all by query type · simulated")
    lab_page.click("cost", within=bench)
    expect(bench).to_contain_text("USD per 1,000 calls by query type")
    lab_page.pick("model", "qwen-local", within=bench)
    expect(bench).to_contain_text("of 7 query types")
    expect(still).to_contain_text("of 7 query types")
    lab_page.pick("model", "all", within=bench)
    expect(bench).to_contain_text("of 15 query types")
    assert lab_page.page.evaluate("window.pwned === undefined")
    assert bench.locator("img[src='x'], .rl script").count() == 0
    assert (lab_page.abroad, lab_page.trouble) == ([], [])


def test_a_conversation_of_the_log_is_played_under_other_policies_and_a_turn_is_opened(lab_page: LabPage) -> None:
    lab_page.open(PRACTICE + TALKED, "lab().panel()")
    lab_page.run()
    bench, still = lab_page.live(1), lab_page.still(1)
    lab_page.tab("Context", within=bench)
    look = bench.locator(".rl-context-look")
    expect(look).to_contain_text("log: window, narrow")
    lab_page.pick("policies", "none", "arm narrow", within=look)
    expect(look.locator("table").first).to_contain_text("arm narrow")
    expect(look.locator(".js-plotly-plot").first).to_be_visible()
    lab_page.type("own policy", "{kind: windo, turns: 2}", within=look)
    expect(look).to_contain_text("did you mean 'window'")
    lab_page.type("own policy", "{kind: window, turns: 2}", within=look)
    expect(look.locator("table").first).to_contain_text("own policy")
    look.locator("button:visible", has_text="▸").first.click()
    expect(look).to_contain_text("what became of the turn")
    expect(still).to_contain_text("what became of the turn")
    lab_page.click("Close", within=look)
    lab_page.click("What was fitted", within=bench)
    fits = bench.locator(".rl-context-fits")
    expect(fits).to_contain_text(re.compile(r"12 fits \(all simulated\) · \d+ took something away"))
    expect(still).to_contain_text("12 of 12 fits")
    fits.locator("button:visible", has_text="▸").first.click()
    expect(look).to_be_visible()
    lab_page.pick("conversation", "mine: 3 messages", within=look)
    expect(look).to_contain_text("2 requests, 3 messages; no facts are known of it")
    look.locator("button:visible", has_text="▸").first.click()
    expect(look).to_contain_text("window.pwned=1")
    assert lab_page.page.evaluate("window.pwned === undefined")
    assert look.locator("img[src='x'], .rl script").count() == 0
    assert (lab_page.abroad, lab_page.trouble) == ([], [])
