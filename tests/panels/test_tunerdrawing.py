"""The plane of cost and quality as a drawing: what stands where, what does not move, and names that are only text."""

from __future__ import annotations

import re

import html5lib
import numpy as np

from routelab.lab.charts.look import Mark
from routelab.lab.controls import Hull
from routelab.lab.statistics import Estimate
from routelab.panels.tunerdrawing import NOT_DRAWN, Ground, Present, Spot, drawing, ground, symbol

BLUE = Mark(colour="#0072B2", symbol="diamond")
HULL = Hull(corners=(("a", 0.001, 0.5), ("c", 0.02, 0.9)))
CURVE = [(0.001, 0.5), (0.01, 0.8), (0.02, 0.9)]


def spot(name: str = "x", *, part: str = "arm", cost: float = 0.01, quality: float = 0.7) -> Spot:
    return Spot(name=name, part=part, cost_usd=cost, quality=quality, mark=BLUE)  # type: ignore[arg-type]


def at(value: float) -> Estimate:
    return Estimate(value=value, low=value * 0.95, high=value * 1.05, se=None, n=10)


def present(cost: float = 0.01, quality: float = 0.8, name: str = "x") -> Present:
    return Present(name=name, says="k 0.5", cost=at(cost), quality=at(quality), mark=BLUE)


def made(spots: list[Spot], **more: object) -> Ground:
    found = ground(spots, HULL, CURVE, BLUE, **more)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_dearer_is_further_right_and_better_is_higher() -> None:
    found = made([spot()])
    (x, y), (right, up) = found.place(0.005, 0.6), found.place(0.015, 0.85)
    assert right > x
    assert up < y


def test_the_present_setting_moves_and_nothing_else_does() -> None:
    found = made([spot(), spot("m", part="model")])
    one, other = drawing(found, present(0.005, 0.6)), drawing(found, present(0.015, 0.85))

    def rest(value: str) -> str:
        return re.sub(
            r'<path d="M[\d. ]+[VH][\d.]+" stroke="#0072B2".*?/>|<g><title>x, k.*?</g>', "", value, flags=re.DOTALL
        )

    assert one != other
    assert rest(one) == rest(other)


def test_a_model_far_below_is_left_out_and_an_arm_is_not() -> None:
    low = made([spot("far", part="model", quality=0.05), spot("near", part="model", quality=0.6)])
    assert [s.name for s in low.spots] == ["near"]
    kept = made([spot("far", quality=0.05)])
    assert kept.window[0] <= 0.05


def test_a_window_never_shrinks_under_a_hand() -> None:
    assert made([spot()], least=(0.1, 0.95)).window[0] <= 0.1


def test_a_free_arm_has_a_place_left_of_the_break() -> None:
    found = made([spot("free", cost=0.0)])
    assert found.x.log
    assert found.place(0.0, 0.7)[0] < found.place(0.001, 0.7)[0]
    assert "free" in drawing(found, None)


def test_without_costs_the_drawing_says_why_there_is_none() -> None:
    assert ground([spot(cost=np.nan)], None, [(np.nan, 0.5)], BLUE) is None
    assert NOT_DRAWN in drawing(None, present())


def test_names_are_text_in_titles_labels_and_legend() -> None:
    evil = '"><img src=x onerror=alert(1)> \u202e</title>'
    value = drawing(made([spot(evil), spot(evil, part="baseline")]), present(name=evil))
    tree = html5lib.parse(value, namespaceHTMLElements=False)
    tags = {element.tag for element in tree.iter() if isinstance(element.tag, str)}
    assert "img" not in {str(tag).rpartition("}")[2] for tag in tags}
    assert not any("onerror" in element.attrib for element in tree.iter())
    assert "\u202e" not in value


def test_every_mark_of_the_charts_has_its_shape() -> None:
    kinds = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "pentagon")
    shapes = {symbol(Mark(colour="#000", symbol=kind), 10, 10, 5) for kind in kinds}
    assert len(shapes) == len(kinds)
