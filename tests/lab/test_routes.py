"""The bench for semantic routing, and labels out of a log."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from routelab.cli import main
from routelab.core.errors import ConfigError, DataError
from routelab.core.values import Prompt
from routelab.fleet import Fleet
from routelab.lab.routes import RoutesBench, bench, indexed, labels, warmed
from routelab.lab.session import Lab
from routelab.store import Log
from routelab.strategies import Semantic
from routelab.strategies.examples import Examples

LEXICAL = {"kind": "lexical", "dimensions": 256}
SUBJECTS = ("card", "card number", "bank card", "credit card", "card from work", "new card", "old card", "lost card")
VERBS = {"block": "please block my {}", "order": "I would like to order a {}", "price": "what does a {} cost"}
STRAY = ("how do volcanoes form", "sing about rain", "the tallest tree", "recommend a film", "who won yesterday")


def examples(half: int, stray: tuple[str, ...] = STRAY) -> Examples:
    rows = [(form.format(s), label) for label, form in VERBS.items() for s in SUBJECTS[half::2]]
    rows += [(text, "") for text in stray[half::2]]
    return Examples.of([t for t, _ in rows], [label for _, label in rows])


def ticking() -> Iterator[float]:
    return itertools.count(0.0, 1e-6)


def benched(train: Examples, test: Examples, **more: object) -> RoutesBench:
    ticks = ticking()
    return bench(train, test, embedder=LEXICAL, now=lambda: next(ticks), **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def found() -> RoutesBench:
    return benched(examples(0), examples(1), reject=0.2)


def test_every_vote_is_an_arm_with_each_calibration_beside_majority_and_a_lexical_baseline(found: RoutesBench) -> None:
    names = [arm["name"] for arm in found.arms]
    votes = ("knn-1", "knn-5", "knn-10", "knn-20", "centroid", "logistic")
    own = [" ".join([v, *([c] if c else [])]) for v in votes for c in (None, "platt", "isotonic")]
    assert names == ["majority", *own, "lexical knn-10", "lexical centroid"]


def test_the_figures_of_an_arm_are_those_of_the_test_rows(found: RoutesBench) -> None:
    arm = next(a for a in found.arms if a["name"] == "centroid")
    train, test = examples(0), examples(1)
    strategy = Semantic(
        routes={n: {"models": [n]} for n in train.names},
        default=("none",),
        vote="centroid",
        reject=0.2,
        embedder=LEXICAL,
    ).fit_examples(train)
    decisions = strategy.decide(test.texts)
    inside = [i for i, label in enumerate(test.labels) if label is not None]
    stray = [i for i, label in enumerate(test.labels) if label is None]
    named = [strategy.routes and decisions.names[decisions.ballot.route[i]] for i in range(len(test))]
    assert arm["threshold"] == strategy.threshold
    assert arm["accuracy"] == sum(named[i] == test.labels[i] for i in inside) / len(inside)
    assert arm["accuracy_kept"] == sum(decisions.routes[i] == test.labels[i] for i in inside) / len(inside)
    assert arm["oos_recall"] == sum(decisions.routes[i] is None for i in stray) / len(stray)
    assert arm["false_rejections"] == sum(decisions.routes[i] is None for i in inside) / len(inside)
    assert arm["accuracy_ci"][0] <= arm["accuracy"] <= arm["accuracy_ci"][1]


def test_time_is_counted_with_and_without_embedding(found: RoutesBench) -> None:
    for arm in found.arms[1:]:
        assert arm["us_per_decision"] == pytest.approx(1.0, abs=1e-3)
        assert arm["us_per_decision_with_embedding"] == pytest.approx(2.0, abs=1e-3)


def test_no_test_row_changes_a_threshold_or_the_recommendation_rests_on(found: RoutesBench) -> None:
    test = examples(1)
    other = benched(examples(0), test[range(6)], reject=0.2)
    assert [a["threshold"] for a in other.arms] == [a["threshold"] for a in found.arms]
    assert [a["held_out_accuracy"] for a in other.arms] == [a["held_out_accuracy"] for a in found.arms]


def test_what_is_clearly_better_than_the_commonest_route_is_recommended_and_else_nothing(found: RoutesBench) -> None:
    assert found.recommended is not None
    assert found.recommended in found.arms
    assert found.why.startswith(f"{found.recommended['name']} was right most often on train rows held out")
    train = examples(0)
    turned = Examples(texts=train.texts, labels=tuple(train.labels[::-1]))
    shuffled = benched(turned, examples(1)[range(4)])
    assert shuffled.recommended is None
    assert shuffled.why.startswith("keep naming the commonest route")


def test_without_rows_out_of_scope_their_recall_is_not_known() -> None:
    found = benched(examples(0, ()), examples(1, ()))
    assert {arm["oos_recall"] for arm in found.arms} == {None}
    assert found.result()["test"] == {"n": 12, "out_of_scope": 0, "also_in_train": 0}


def test_the_result_is_plain_json_with_the_promised_keys(found: RoutesBench, tmp_path: Path) -> None:
    read = json.loads(found.write(tmp_path / "r.json").read_text(encoding="utf-8"))
    assert {"arms", "recommended", "why"} <= set(read)
    assert all({"accuracy", "accuracy_ci", "oos_recall", "us_per_decision"} <= set(arm) for arm in read["arms"])
    assert "logistic" in found.table().text(width=100)
    with pytest.raises(ConfigError, match="cannot be written"):
        found.write(tmp_path / "no" / "r.json")


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        ([("a", "x"), ("b", "x")], [("c", "x")], "train: has 1 different labels"),
        ([("a", "x"), ("b", "y")], [("c", "")], "test: no row has a label"),
        ([("a", "card"), ("b", "y")], [("c", "crad")], "test: the label 'crad' is not in train; did you mean 'card'"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(
    train: list[tuple[str, str]], test: list[tuple[str, str]], said: str
) -> None:
    with pytest.raises(DataError) as trouble:
        benched(*(Examples.of([t for t, _ in rows], [k for _, k in rows]) for rows in (train, test)))
    assert trouble.value.message.startswith(said)


# On the command line


def table(path: Path, rows: Examples) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([t, label or ""] for t, label in zip(rows.texts, rows.labels, strict=True))
    return path


def test_the_command_writes_its_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, test = table(tmp_path / "t.csv", examples(0)), table(tmp_path / "e.csv", examples(1))
    out = tmp_path / "r.json"
    line = ["bench", "routes", "--train", str(train), "--test", str(test), "--out", str(out), "--embedder", "lexical"]
    assert main(line) == 0
    said = capsys.readouterr()
    assert f"wrote {out}" in said.out
    assert json.loads(out.read_text(encoding="utf-8"))["test"]["n"] == 12


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("text;label\na;b\n", "t.csv:1: the column 'text' is missing"),
        ("text,label\n", "t.csv: has no rows"),
        ("text,label\na\n", "t.csv:2: has 1 fields"),
        ('text,label\n"a', "t.csv:2: not CSV"),
        ("text,label\na,x\n", "train: has 1 different labels"),
    ],
)
def test_a_bad_table_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, said: str
) -> None:
    (tmp_path / "t.csv").write_text(content, encoding="utf-8")
    test = table(tmp_path / "e.csv", examples(1))
    assert main(["bench", "routes", "--train", str(tmp_path / "t.csv"), "--test", str(test)]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert [row for row in err.splitlines()[1:] if not row.startswith("  hint: ")] == []


# Labels out of a log


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab(fleet=Fleet.practice(latency=0, errors=0))
    yield made
    made.close()


def test_labels_are_the_tasks_that_the_log_keeps(lab: Lab) -> None:
    lab.log.record_prompts([Prompt.of("block my card", task="block"), Prompt.of("no task here")])
    found = labels(lab.log)
    assert found.examples == Examples(texts=("block my card",), labels=("block",))
    assert "1 labelled texts, by task" in found.table().text()


def test_labels_are_a_tag_of_the_latest_run(lab: Lab) -> None:
    for value in ("first", "second"):
        lab.router("qwen-local", tags={"intent": value}).route("block my card")
    lab.router("qwen-local").route("no tag")
    assert labels(lab.log, "tag:intent").examples == Examples(texts=("block my card",), labels=("second",))
    assert len(labels(lab.log, "tag:other")) == 0


def test_labels_by_rating_name_the_model_that_people_liked_best(lab: Lab) -> None:
    for model, value in (("qwen-local", -1.0), ("gpt-5", 1.0)):
        lab.log.rate(lab.router(model).route("a hard one").run.id, value)
    lab.log.rate(lab.router("gpt-5").route("nobody liked it").run.id, -1.0)
    # A rating that says nothing is none.
    lab.log.rate(lab.router("gpt-5").route("nobody knows").run.id, float("nan"))
    found = dict(zip(*(lambda e: (e.texts, e.labels))(labels(lab.log, "rating").examples), strict=True))
    assert found == {"a hard one": "gpt-5", "nobody liked it": None}


def test_texts_that_the_log_did_not_keep_are_counted() -> None:
    with Log(content="hash") as log:
        log.record_prompts([Prompt.of("secret", task="block")])
        found = labels(log)
    assert len(found) == 0
    assert found.left_out == {"the log kept no text of them": 1}


def test_an_unknown_kind_of_label_is_refused(lab: Lab) -> None:
    with pytest.raises(ConfigError, match="labels: unknown 'tags'"):
        labels(lab.log, "tags")


def test_a_strategy_learns_from_what_the_log_labels(lab: Lab) -> None:
    train = examples(0, ())
    lab.log.record_prompts(Prompt.of(t, task=k) for t, k in zip(train.texts, train.labels, strict=True))
    routes = {name: {"models": [name]} for name in train.names}
    fitted = Semantic(routes=routes, embedder=LEXICAL).fit_examples(labels(lab.log).examples)
    assert fitted.decide(["please block my golden card"]).routes == ("block",)


def test_vectors_in_the_log_are_not_made_again(lab: Lab) -> None:
    assert warmed(lab.log, LEXICAL, ["a", "b", "a"]) == 2
    assert warmed(lab.log, LEXICAL, ["a", "b", "c"]) == 1


def test_an_index_lies_beside_its_log(tmp_path: Path, lab: Lab) -> None:
    strategy = Semantic(routes={"a": {"models": ["m"], "examples": ["x y", "z"]}}, embedder=LEXICAL)
    assert indexed(strategy, lab.log).index == "chroma"
    with Log(tmp_path / "log.duckdb") as log:
        beside = indexed(strategy, log)
    assert beside.decide(["x y"]).routes == ("a",)
    assert (log.path.with_name("log.duckdb.index")).is_dir()
