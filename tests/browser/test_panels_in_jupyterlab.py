"""The panels in a real JupyterLab: clicked, moved, reloaded, saved and opened again without a kernel."""

from __future__ import annotations

import re

from driven import LabPage, expect

from routelab.config import RouteConfig

SETUP = """\
import asyncio
import routelab as rl
from routelab.notebook import lab
from routelab.testing import Scripted, fleet
class Slow:
    async def complete(self, request, emit):
        await asyncio.sleep(float(request.prompt.text.split()[0]))
        return await Scripted("slept").complete(request, emit)
%load_ext routelab
%config RouteLab.log = ":memory:"
"""
SUMS = """\
chosen = fleet({"cheap": Scripted("four", "It is 5."), "good": Scripted("It is 4.")})
%routelab use $chosen
sums = [{"prompt": f"What is {i}+{i}?", "task": "sums"} for i in range(50)]
"""
COMPARED = "cmp = lab().compare(sums, ['good', 'cheap'])"


def test_a_comparison_is_filtered_paged_opened_and_rated_by_clicking(lab_page: LabPage) -> None:
    lab_page.open(SETUP, SUMS, COMPARED, "cmp.view()", "lab().sql('from ratings')")
    lab_page.run(0, 1, 2, 3)
    panel = lab_page.live(3)
    rows = panel.locator(".rl-line:not(.rl-gone)")
    expect(rows).to_have_count(20)
    expect(rows.first).to_contain_text("What is 0+0?")
    expect(panel).to_contain_text("1–20 of 50")
    lab_page.click("different", within=panel)
    expect(panel).to_contain_text("1–20 of 50")
    panel.locator("button[title='the next page']").click()
    expect(rows.first).to_contain_text("What is 20+20?")
    panel.locator("button[title='the next page']").click()
    expect(rows).to_have_count(10)
    panel.get_by_placeholder("search prompts and answers").fill("33+33")
    panel.get_by_placeholder("search prompts and answers").press("Enter")
    expect(rows).to_have_count(1)
    rows.first.locator("button").first.click()
    expect(panel.locator(".rl-whole").nth(1)).to_contain_text("It is 4.")
    panel.get_by_placeholder("a note, kept with").first.fill("short and right")
    panel.get_by_placeholder("a note, kept with").first.press("Enter")
    panel.locator("button[title^='a good answer']").first.click()
    expect(panel).to_contain_text("in the log")
    found = lab_page.evaluated(
        "lab().log.flush() or lab().log.query('select p.text, r.value, r.note from ratings r join runs using (run_id) join prompts p using (prompt_id)')"
    )
    assert found == "[('What is 33+33?', 1.0, 'short and right')]"
    lab_page.run(4)
    assert "short and right" in lab_page.text(4)
    assert (lab_page.abroad, lab_page.trouble) == ([], [])


def test_after_a_reload_the_results_are_there_and_the_controls_work(lab_page: LabPage) -> None:
    lab_page.open(SETUP, SUMS, COMPARED, "cmp.view()", "lab().panel()")
    lab_page.run()
    lab_page.tab("Jobs", within=lab_page.live(4))
    lab_page.save()
    lab_page.reload()
    panel = lab_page.live(3)
    rows = panel.locator(".rl-line:not(.rl-gone)")
    expect(rows).to_have_count(20)
    expect(panel).to_contain_text(re.compile("non-inferior|inconclusive|worse"))
    panel.locator("button[title='the next page']").click()
    expect(rows.first).to_contain_text("What is 20+20?")
    bench = lab_page.live(4)
    expect(bench.locator(".lm-TabBar-tab.lm-mod-current")).to_have_text("Jobs")
    lab_page.tab("Log", within=bench)
    expect(bench).to_contain_text("100 runs")
    bench.get_by_placeholder("words of the prompt").fill("33+33")
    bench.get_by_placeholder("words of the prompt").press("Enter")
    expect(bench).to_contain_text("2 runs")
    assert (lab_page.abroad, lab_page.trouble) == ([], [])


def test_a_saved_panel_is_read_as_it_was_left_where_no_kernel_is(lab_page: LabPage) -> None:
    lab_page.open(SETUP, SUMS, COMPARED, "cmp.view()", "lab().panel()")
    lab_page.run()
    panel = lab_page.live(3)
    panel.locator("button[title='the next page']").click()
    expect(panel.locator(".rl-line:not(.rl-gone)").first).to_contain_text("What is 20+20?")
    lab_page.tab("Log", within=lab_page.live(4))
    expect(lab_page.still(4)).to_contain_text("100 runs")
    before = lab_page.file.stat().st_size
    expect(lab_page.still(3)).to_contain_text("What is 20+20?")
    lab_page.save()
    assert lab_page.file.stat().st_size - before < 200_000
    lab_page.reopen()
    still = lab_page.still(3)
    expect(still).to_contain_text("What is 20+20?")
    expect(still).to_contain_text("21–40 of 50")
    expect(still.locator("td").first).to_be_visible()
    expect(lab_page.still(4)).to_contain_text("100 runs")
    expect(lab_page.still(4).locator("td").first).to_be_visible()


def test_stop_in_the_bench_stops_a_job_while_a_cell_keeps_the_kernel_busy(lab_page: LabPage) -> None:
    lab_page.open(
        SETUP + 'chosen = fleet({"slow": Slow()})\n%routelab use $chosen',
        "lab().panel()",
        "data = ['0.01 a', '0.01 b', '60 c']",
        "%%route slow --over data --bg -q -o job\n{{prompt}}",
        "import time\nbegan = time.monotonic()\nwhile not job.done and time.monotonic() < began + 30: time.sleep(0.05)",
    )
    lab_page.run(0, 1, 2)
    bench = lab_page.live(1)
    lab_page.tab("Jobs", within=bench)
    expect(bench).to_contain_text("no jobs yet")
    lab_page.run(3)
    expect(bench).to_contain_text("2/3")
    lab_page.send(4)
    expect(lab_page.cell(4).locator(".jp-InputPrompt")).to_contain_text("[*]")
    lab_page.click("Stop", within=bench)
    expect(bench).to_contain_text(re.compile(r"2 of 3 answers .* stopped"))
    lab_page.idle()
    assert (
        lab_page.evaluated("job.state, [a.text for a in job.result().answers['slow']]")
        == "('stopped', ['slept', 'slept'])"
    )


PRACTICE = """\
import routelab as rl
from routelab.notebook import lab
%load_ext routelab
%config RouteLab.log = ":memory:"
fleet = rl.Fleet.practice(latency=0)
%routelab use $fleet
"""


def test_a_comparison_is_run_by_clicking_rated_and_opened_again_after_a_reload(lab_page: LabPage) -> None:
    lab_page.open(
        PRACTICE, "lab().panel()", "ratings = lab().sql('from ratings')\nlist(ratings.value), list(ratings.note)"
    )
    lab_page.run(0, 1)
    bench = lab_page.live(1)
    lab_page.tab("Compare", within=bench)
    expect(bench).to_contain_text("arms: ")
    lab_page.type("prompts", "24", within=bench)
    bench.get_by_label("gpt-5-mini", exact=True).check()
    expect(bench).to_contain_text(re.compile(r"arms: .*gpt-5-mini"))
    lab_page.pick("baseline", "claude-opus", within=bench)
    lab_page.click("Run", within=bench)
    rows = bench.locator(".rl-line:not(.rl-gone)")
    expect(rows).to_have_count(20)
    expect(bench).to_contain_text(re.compile("non-inferior|inconclusive|worse"))
    expect(bench).to_contain_text(re.compile("simulated", re.IGNORECASE))
    rows.nth(2).locator("button").first.click()
    note = bench.get_by_placeholder("a note, kept with").first
    note.fill("right, but long")
    note.press("Enter")
    bench.locator("button[title^='a good answer']").first.click()
    expect(bench).to_contain_text("in the log")
    lab_page.run(2)
    assert "([1.0], ['right, but long'])" in lab_page.text(2)
    lab_page.save()
    lab_page.reload()
    bench = lab_page.live(1)
    rows = bench.locator(".rl-line:not(.rl-gone)")
    expect(rows).to_have_count(20)
    lab_page.click("rated", within=bench)
    expect(rows).to_have_count(1)
    lab_page.click("Open", within=bench)
    expect(rows).to_have_count(20)
    lab_page.click("rated", within=bench)
    expect(rows).to_have_count(1)
    assert (lab_page.abroad, lab_page.trouble) == ([], [])


def test_the_playground_explains_asks_and_keeps_an_arm_that_cells_know(lab_page: LabPage) -> None:
    lab_page.open(PRACTICE, "lab().panel()", "%%route mine\nIs 7 a prime number?")
    lab_page.run(0, 1)
    bench = lab_page.live(1)
    lab_page.tab("Playground", within=bench)
    lab_page.pick("arm", "new cascade", within=bench)
    lab_page.click("Explain", within=bench)
    expect(bench.get_by_text("nobody was asked")).to_have_count(2)
    assert lab_page.evaluated("lab().log.query('select count(*) from runs')") == "[(0,)]"
    bench.get_by_text("cascade: controls").click()
    handle = bench.get_by_role("slider").first
    handle.press("ArrowRight")
    expect(bench.get_by_text("cascade: controls · changed")).to_be_visible()
    lab_page.click("Run", within=bench)
    expect(bench).to_contain_text("this panel: ")
    expect(bench.locator(".rl-said")).to_have_count(2)
    expect(lab_page.still(1)).to_contain_text("simulated")
    bench.get_by_text("copy as cell").click()
    expect(bench.locator("textarea:visible").last).to_have_value(re.compile(r"^%%route rules .*\nWhat is the capital"))
    bench.get_by_placeholder("name", exact=True).last.fill("mine")
    bench.get_by_placeholder("name", exact=True).last.blur()
    lab_page.button("Save as arm", within=bench).last.click()
    expect(bench).to_contain_text("saved: cells and the other tabs know it as mine")
    lab_page.run(2)
    assert "mine →" in lab_page.text(2)
    assert (lab_page.abroad, lab_page.trouble) == ([], [])


def test_a_threshold_is_moved_confirmed_when_asked_and_exported_to_a_file_that_is_read_back(lab_page: LabPage) -> None:
    lab_page.open(
        PRACTICE,
        "some = rl.Dataset.load('workbench').sample(80)\noutcomes = lab().collect(some, ['claude-opus', 'qwen-local'])",
        "lab().tuner(outcomes, confirm=0.4)",
    )
    lab_page.run()
    tuner, still = lab_page.live(2), lab_page.still(2)
    lab_page.pick("arm", "by task", within=tuner)
    figures = tuner.locator(".rl-tune")
    expect(figures).to_contain_text(re.compile(r"claude-opus \d+ %"))
    expect(tuner).to_contain_text("confirm prompts stay hidden until Confirm is pressed")
    before = figures.inner_text()
    lab_page.slide("min_quality", 3, within=tuner)
    expect(lab_page.control("min_quality", within=tuner)).to_contain_text("0.93")
    expect(figures).not_to_have_text(before)
    expect(still).to_contain_text("0.93")
    expect(tuner.get_by_text("Confirmed: by task")).to_have_count(0)
    tuner.locator("button", has_text="Confirm").click()
    expect(tuner.get_by_text("Confirmed: by task")).to_be_visible()
    expect(tuner).to_contain_text("confirm split used 1 time")
    expect(still).to_contain_text("confirm split used 1 time")
    lab_page.type("file", "winner.yaml", within=tuner)
    expect(tuner.locator("code")).to_contain_text("min_quality: 0.93")
    lab_page.click("Save", within=tuner)
    expect(tuner).to_contain_text(re.compile(r"wrote .*winner\.yaml"))
    config = RouteConfig.from_yaml(lab_page.folder / "winner.yaml")
    assert (config.name, config.names) == ("by task", ("claude-opus", "qwen-local"))
    assert config.to_mapping()["strategy"]["min_quality"] == 0.93
    lab_page.slide("min_quality", -5, within=tuner)
    expect(tuner).to_contain_text("this belongs to an earlier setting")
    expect(still).to_contain_text("0.88")
    tuner.locator("button", has_text="Confirm").click()
    expect(tuner).to_contain_text("confirm split used 2 times")
    assert (lab_page.abroad, lab_page.trouble) == ([], [])
