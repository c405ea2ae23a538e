"""The bench of examples: tasks and pools out of labelled texts, and a fast path that is the real stack's twin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routelab.config import PromptConfig, RouteConfig
from routelab.core.errors import DataError
from routelab.core.values import Prompt
from routelab.fleet import Fleet
from routelab.lab.datasets import Dataset
from routelab.lab.fewshots import Arm, Lengths, Reader, Sheet, Task, arms, nearest_label, played, shown, task_of, versus
from routelab.lab.session import Lab
from routelab.prompting.fewshot import leaks, same
from routelab.providers.nearestlabel import PRICE

LEXICAL = "lexical"
SUBJECTS = {"pin_change": "change my pin", "play_music": "play a song", "weather": "will it rain"}
TRAIN = [
    (f"{words} {more}", label)
    for label, words in SUBJECTS.items()
    for more in ("now", "please", "today", "again", "soon")
]
TEST = [(f"{words} {more}", label) for label, words in SUBJECTS.items() for more in ("right away", "for me", "today")]
WAYS: dict[str, dict[str, Any]] = {
    "fixed": {"kind": "fixed"},
    "random": {"kind": "random"},
    "nearest": {"kind": "nearest", "embedder": LEXICAL},
    "diverse": {"kind": "diverse", "embedder": LEXICAL, "among": 8},
}


@pytest.fixture
def task() -> Task:
    """A task of three labels."""
    return task_of(TRAIN, TEST, name="toy")


def test_a_task_names_its_labels_and_tags_its_prompts(task: Task) -> None:
    assert task.labels == ("pin_change", "play_music", "weather")
    assert task.system.endswith("\nLabels: pin_change, play_music, weather")
    assert [(p.reference, p.group, dict(p.tags)) for p in task.prompts[:1]] == [
        ("pin_change", None, {"label": "pin_change"})
    ]
    assert task.clusters.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_labels_can_be_renamed_and_prompts_drawn() -> None:
    few = task_of(TRAIN, TEST, names={"weather": "rain"}, take=4, seed=1)
    assert few.labels == ("pin_change", "play_music", "rain")
    assert len(few.prompts) == 4
    assert few.prompts == task_of(TRAIN, TEST, names={"weather": "rain"}, take=4, seed=1).prompts


def test_a_label_without_an_example_is_told() -> None:
    with pytest.raises(DataError, match=r"task: test\[0\]: the label 'sport' has no example in train"):
        task_of(TRAIN, [("who won", "sport")])


def test_a_pool_has_so_many_of_each_label_and_another_seed_draws_others(task: Task) -> None:
    pools = [task.pool(2, seed) for seed in (0, 1)]
    assert [sorted(e.answer for e in pool) for pool in pools] == [sorted([*task.labels] * 2)] * 2
    assert pools[0] == task.pool(2, 0) != pools[1]
    assert len(task.pool(99, 0)) == len(TRAIN)


def test_the_question_that_is_also_in_train_is_never_shown(task: Task) -> None:
    assert leaks(task.train, task.prompts).counts == {"text": 3}
    for arm in arms((3,), WAYS)[1:]:
        for prompt, row in zip(task.prompts, shown(arm, task, task.train, 0), strict=True):
            assert all(same(e.question) != same(prompt.text) for e in row)


def test_chosen_examples_are_better_than_drawn_ones_where_similarity_decides(task: Task) -> None:
    found = played(
        task, arms((1, 3), WAYS), pools=[task.pool(4, s) for s in range(3)], readers={"a": Reader(embedder=LEXICAL)}
    )
    by_name = {row.arm.name: row for row in found["a"]}
    assert list(by_name) == ["zero-shot", *(f"{way}, k = {k}" for way in WAYS for k in (1, 3))]
    near, drawn = by_name["nearest, k = 1"], by_name["random, k = 1"]
    assert near.quality.shape == (3, len(TEST))
    assert near.accuracy.value == 1.0
    # A reader of examples alone is right at most where the right label was shown.
    assert (drawn.quality <= drawn.reached).all()
    difference = versus(near, drawn)
    assert difference.difference.value == pytest.approx(1.0 - drawn.accuracy.value)
    assert versus(near, near).p == 1.0
    assert (by_name["nearest, k = 3"].tokens > near.tokens).all()
    assert (by_name["zero-shot"].tokens < near.tokens).all()


@pytest.mark.parametrize(
    "reader",
    [
        Reader(embedder=LEXICAL),
        Reader(embedder=LEXICAL, reads="both"),
        Reader(embedder=LEXICAL, reads="both", sharpness=8.0),
    ],
)
def test_the_fast_path_says_what_configs_and_routers_say(task: Task, reader: Reader) -> None:
    pool = task.pool(4, 0)
    which = arms((3,), WAYS)
    sheet, lengths = Sheet.of(task, reader, [pool]), Lengths(task=task)
    model = "nearest-label"
    expected = {}
    for arm in which:
        rows = shown(arm, task, pool, 0)
        for prompt, examples, said in zip(task.prompts, rows, sheet.answers(rows), strict=True):
            expected[arm.name, prompt.id] = (said, lengths.asked(prompt, examples), lengths.tokens(said))
    with Lab(fleet=Fleet.practice(latency=0).with_models({model: nearest_label(reader=reader)})) as lab:
        lab.compare(
            Dataset(name="toy", prompts=task.prompts),
            {
                arm.name: RouteConfig(
                    name=arm.name,
                    models=[model],
                    strategy={"kind": "fixed", "model": model},
                    prompt=PromptConfig(
                        system=task.system, few_shot=None if arm.spec is None else {**arm.spec, "examples": pool}
                    ),
                )
                for arm in which
            },
        )
        told = lab.log.query(
            "select c.arm, c.prompt_id, a.text, c.input_tokens, c.output_tokens, c.cost_usd, c.simulated"
            " from calls c join answers a on a.call_id = c.call_id"
        )
    assert {(arm, prompt): (text, asked, said) for arm, prompt, text, asked, said, _, _ in told} == expected
    for arm, prompt, _, asked, said, usd, simulated in told:
        assert simulated, (arm, prompt)
        assert usd == pytest.approx((asked * PRICE.usd_per_mtok_in + said * PRICE.usd_per_mtok_out) / 1e6)


def test_an_arm_is_drawn_by_the_pool_s_seed(task: Task) -> None:
    arm = Arm(name="random", spec={"kind": "random", "k": 2})
    assert shown(arm, task, task.train, 0) != shown(arm, task, task.train, 1)


def test_on_clinc150_nobody_sees_the_question_and_the_nearest_example_is_right_most_often(shared: Path) -> None:
    data = json.loads((shared / "data" / "intents" / "clinc150.json").read_text(encoding="utf-8"))
    task = task_of(data["train"], data["val"], name="clinc150", take=150)
    pool = task.pool(5, 0)
    ways = {"random": WAYS["random"], "nearest": WAYS["nearest"]}
    found = played(task, arms((4,), ways), pools=[pool], readers={"both": Reader(embedder=LEXICAL, reads="both")})
    zero, drawn, near = (row.accuracy.value for row in found["both"])
    assert near > zero + 0.1
    assert abs(drawn - zero) < 0.1
    assert len(leaks(task.train, [Prompt.of(task.train.examples[7].question)])) == 1
    assert np.isfinite([row.cost_usd.mean() for row in found["both"]]).all()
