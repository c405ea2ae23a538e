"""What models and people say is text in every panel: nothing of it becomes an element, a formula, a request or a wait."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from driven import LabPage, expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator

# No element of ours is one of these, and each of them is in the texts below.
STRANGERS = "img:not(.plot-img), script, iframe, object, embed, form, marquee, video, math, mjx-container, .MathJax, strong, em, a[href*=evil]"
# Short enough to be shown whole in an excerpt of 140 characters.
SAID = (
    "<img src=http://evil.example/i.png onerror='window.evil=1'><marquee>A</marquee><form><input></form>",
    "</td></tr></table></div></pre></textarea></style><script>window.evil=2</script>B",
    "<iframe src=http://evil.example></iframe><object data=http://evil.example></object><math><mi>C</mi></math>",
    "<style>*{display:none}</style><video src=http://evil.example/v></video><a href=http://evil.example>D</a>",
    "# E **bold** _em_ ![i](http://evil.example/m.png) [link](http://evil.example) <b>x</b>",
    r"$\color{red}{F}$ \(x^2\) $$\href{http://evil.example}{y}$$ \begin{equation}z\end{equation}",
    "\x1b[31mred\x1b[0m \x1b]8;;http://evil.example\x07G\x1b]8;;\x07 \x07\x08 \u202egnp.exe\u202c \u2066in\u2069 \u2067right\u2069",
)
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
SHOWN = [OBEYED.sub("\N{REPLACEMENT CHARACTER}", text) for text in SAID]
SETUP = f"""\
import routelab as rl
from routelab.core.errors import ServerFailed
from routelab.notebook import lab
from routelab.testing import Scripted, fleet
class Echo:
    async def complete(self, request, emit):
        return await Scripted(request.prompt.text).complete(request, emit)
said = {SAID!r}
chosen = fleet({{"echo": Echo(), "other": Scripted("never mind"), "long": Scripted("x" * 10_000_000), said[0]: Scripted(ServerFailed(said[0]))}})
%load_ext routelab
%config RouteLab.log = ":memory:"
%routelab use $chosen
asked = [{{"prompt": text, "task": said[0], "id": text}} for text in said]
"""
COMPARED = "cmp = lab().compare(asked, list(chosen.names))"


def harmless(page: LabPage, area: Locator, texts: Sequence[str] = ()) -> None:
    """Assert that the texts are on the page as they are, that nothing was made of any, and that the page is not heavy with them."""
    found = area.locator(STRANGERS)
    assert found.count() == 0, found.first.evaluate("e => e.outerHTML.slice(0, 500)")
    content = area.evaluate("e => e.textContent")
    assert [text for text in texts if text not in content] == []
    assert OBEYED.findall(content) == []
    assert area.evaluate("e => e.innerHTML.length") < 1_000_000
    assert page.page.evaluate("window.evil") is None
    assert (page.abroad, page.trouble) == ([], [])


def test_in_a_comparison(lab_page: LabPage) -> None:
    lab_page.open(SETUP, COMPARED, "cmp", "cmp.view()")
    lab_page.run()
    panel = lab_page.live(3)
    rows = panel.locator(".rl-line:not(.rl-gone)")
    expect(rows).to_have_count(len(SAID))
    still, live = lab_page.outputs(3).all()
    harmless(lab_page, lab_page.outputs(2), SHOWN[:1])
    for shown in (still, live):
        harmless(lab_page, shown, SHOWN)
    for place, text in enumerate(SHOWN):
        rows.nth(place).locator("button").first.click()
        expect(rows.nth(place).locator(".rl-whole").first).to_contain_text(text)
        harmless(lab_page, live, SHOWN)
    note = panel.get_by_placeholder("a note, kept with").first
    note.fill(SAID[0])
    note.press("Enter")
    panel.locator("button[title^='a bad answer']").first.click()
    expect(panel).to_contain_text("in the log")
    for first in ("echo (baseline)", "other"):
        lab_page.pick("differences from", first, within=panel)
        for second in ("long", "echo (baseline)"):
            lab_page.pick("to", second, within=panel)
            harmless(lab_page, live, SHOWN)
    expect(still).to_contain_text("more characters")
    harmless(lab_page, still, SHOWN)
    search = panel.get_by_placeholder("search prompts and answers")
    search.fill("</table>")
    search.press("Enter")
    expect(rows).to_have_count(1)
    expect(rows.locator("mark").first).to_have_text("</table>")
    harmless(lab_page, live, SHOWN[1:2])
    lab_page.save()
    assert lab_page.file.stat().st_size < 1_000_000


def test_in_the_log_and_in_every_tab_of_the_bench(lab_page: LabPage) -> None:
    lab_page.open(SETUP, COMPARED, "lab().panel()")
    lab_page.run()
    bench = lab_page.live(2)
    lab_page.tab("Log", within=bench)
    expect(bench).to_contain_text("28 runs")
    still, live = lab_page.outputs(2).all()
    for view in ("dearest", "slowest", "errors", "spend", "tokens", "latest"):
        lab_page.click(view, within=bench)
        expect(lab_page.button(view, within=bench).first).to_have_class(re.compile("mod-active"))
        expect(bench.locator(".js-plotly-plot:visible")).to_have_count(1 if view in ("spend", "tokens") else 0)
        harmless(lab_page, live, SHOWN[:1])
    lab_page.pick("arm", "echo", within=bench)
    expect(bench).to_contain_text("7 runs")
    for place in range(len(SAID)):
        bench.locator("button[title='open this row']").nth(place).click()
        expect(lab_page.button("Close", within=bench)).to_be_visible()
        harmless(lab_page, live)
        lab_page.click("Close", within=bench)
        expect(lab_page.button("Close", within=bench)).to_be_hidden()
    titles = bench.locator(".widget-tab > .widget-tab-bar .lm-TabBar-tab").all_inner_texts()
    for title in titles:
        lab_page.tab(title, within=bench)
        expect(bench.locator(".lm-TabBar-tab.lm-mod-current").first).to_have_text(title)
        harmless(lab_page, live)
        harmless(lab_page, still)


def test_in_the_playground_the_compare_tab_and_the_tuner(lab_page: LabPage) -> None:
    lab_page.open(
        SETUP + "scored = [{**row, 'scorer': {'kind': 'exact', 'answers': [row['prompt']]}} for row in asked]",
        "lab().panel()",
        "outcomes = lab().collect(scored, ['echo', 'other', said[0]])",
        "lab().tuner(outcomes, {said[2]: 'echo', said[3]: said[0]}, confirm=0)",
    )
    lab_page.run(0, 1)
    bench = lab_page.live(1)
    lab_page.tab("Playground", within=bench)
    prompt = bench.get_by_placeholder("the prompt")
    prompt.fill("\n".join(SAID))
    prompt.blur()
    arms = bench.locator("select:visible")
    arms.nth(0).select_option(label="echo")
    arms.nth(1).select_option(label="long")
    lab_page.click("Run", within=bench)
    expect(bench.locator(".rl-said").first).to_contain_text(SHOWN[4])
    expect(bench.locator(".rl-said").last).to_contain_text("x" * 100)
    harmless(lab_page, bench, SHOWN)
    arms.nth(0).select_option(label=re.sub(r"\s+", " ", SAID[0]))
    lab_page.click("Explain", within=bench)
    expect(bench).to_contain_text("nobody was asked")
    lab_page.click("Run", within=bench)
    expect(bench).to_contain_text(f"ServerFailed: {SHOWN[0]}")
    harmless(lab_page, bench, SHOWN[:1])
    lab_page.tab("Compare", within=bench)
    named = lab_page.control("data", within=bench).locator("option").filter(has_text=re.compile(r"^asked\b"))
    lab_page.pick("data", named.inner_text(), within=bench)
    for box in bench.get_by_role("checkbox").all():
        box.check()
    lab_page.click("Run", within=bench)
    expect(bench.locator(".rl-line:not(.rl-gone)")).to_have_count(len(SAID))
    harmless(lab_page, bench, SHOWN)
    lab_page.tab("Jobs", within=bench)
    expect(bench).to_contain_text("done")
    harmless(lab_page, bench, SHOWN[:1])
    lab_page.run(2, 3)
    tuner = lab_page.live(3)
    lab_page.click("Full chart", within=tuner)
    expect(tuner.locator(".js-plotly-plot")).to_have_count(1)
    harmless(lab_page, tuner, SHOWN[2:4])
    harmless(lab_page, lab_page.still(3), SHOWN[2:3])
