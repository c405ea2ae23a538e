"""The magics in a real JupyterLab: what a person sees, clicks and finds again."""

from __future__ import annotations

import re

from driven import LabPage, expect

SETUP = """\
import asyncio
from routelab.testing import Scripted, fleet
class Slow:
    async def complete(self, request, emit):
        await asyncio.sleep(float(request.prompt.text.split()[0]))
        return await Scripted("slept").complete(request, emit)
chosen = fleet({"cheap": Scripted("four"), "good": Scripted("It is 4."), "slow": Slow()})
%load_ext routelab
%config RouteLab.log = ":memory:"
%routelab use $chosen
%routelab use cheap
"""
COMPARE = """\
%%route claude-opus rules --over questions --budget 1.00 -q -o cmp
{{prompt}}
"""


def test_loading_is_silent_and_an_answer_shows_where_it_came_from(lab_page: LabPage) -> None:
    lab_page.open("%load_ext routelab", "%%route\nWhat is the capital of France?")
    lab_page.run()
    assert lab_page.outputs(0).count() == 0
    assert lab_page.outputs(1).count() == 1
    header = lab_page.text(1).splitlines()[1 if lab_page.text(1).startswith("[") else 0]
    assert re.search(r"rules → qwen-local \(simulated\) · \$0 · [\d.]+ s · .* · why: task simple_qa", header), header
    assert (lab_page.abroad, lab_page.trouble) == ([], [])


def test_stop_stops_a_job_while_another_cell_runs(lab_page: LabPage) -> None:
    lab_page.open(
        SETUP,
        "data = ['0.01 a', '0.01 b', '60 c']",
        "%%route slow --over data --bg -o job\n{{prompt}}",
        "while not job.done: await asyncio.sleep(0.05)",
        "[a.text for a in job.result().answers['slow']], job.state",
    )
    lab_page.run(0, 1, 2)
    expect(lab_page.outputs(2).first).to_contain_text("2/3")
    lab_page.send(3)
    expect(lab_page.cell(3).locator(".jp-InputPrompt")).to_contain_text("[*]")
    lab_page.click("Stop", within=lab_page.cell(2))
    lab_page.idle()
    expect(lab_page.outputs(2).first).to_contain_text(re.compile(r"2 of 3 answers .* stopped"))
    expect(lab_page.button("Stop", within=lab_page.cell(2))).to_have_count(0)
    lab_page.run(4)
    assert "(['slept', 'slept'], 'stopped')" in lab_page.text(4)


def test_a_comparison_shows_its_verdict_and_is_read_in_the_saved_notebook_with_no_kernel(lab_page: LabPage) -> None:
    lab_page.open(
        "import routelab as rl\n%load_ext routelab\nfleet = rl.Fleet.practice(latency=0)\n%routelab use $fleet",
        "questions = rl.Dataset.load('workbench').sample(40)",
        COMPARE,
        "cmp",
        "%routeplot frontier cmp",
    )
    lab_page.run()
    verdict = re.compile(r"non-inferior|inconclusive|worse")
    expect(lab_page.outputs(3)).to_contain_text(verdict)
    expect(lab_page.cell(4).locator(".js-plotly-plot")).to_have_count(1)
    lab_page.save()
    lab_page.reopen()
    expect(lab_page.outputs(3)).to_contain_text(verdict)
    expect(lab_page.outputs(3).locator("tbody tr").first).to_be_visible()
    expect(lab_page.outputs(3)).to_contain_text("simulated")
    html = [o.data["text/html"] for o in lab_page.saved.cells[4].outputs if "text/html" in o.get("data", {})]
    assert len(html) == 1
    assert "<table" in html[0]
    assert "claude-opus" in html[0]
    assert (lab_page.abroad, lab_page.trouble) == ([], [])
