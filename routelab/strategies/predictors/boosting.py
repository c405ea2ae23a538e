"""Quality by gradient-boosted trees, trained by scikit-learn and kept as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routelab.core.ports import Floats
from routelab.strategies.predictors.features import Inputs, one_hot
from routelab.strategies.predictors.lesson import Arrays, Lesson, Tasks, at_least

_NODES = ("left", "right", "feature", "threshold", "value")


@dataclass(frozen=True, kw_only=True)
class Boosting:
    """Expects the task's mean plus the sum of `trees` regression trees (Friedman 2001) for all models together, on the
    `components` main directions of the vectors, the surface features and the task.

    A tree of at most `depth` levels sees half of the prompts and the square root of the features (the seed decides which),
    splits where the models' residuals part best, and adds `rate` of their means in its leaves, which are shrunk as if
    `shrinkage` more prompts with none lay there. scikit-learn grows the trees; what is kept and read are plain arrays.
    """

    trees: int = 80
    depth: int = 4
    rate: float = 0.08
    components: int = 32
    leaf: int = 15
    shrinkage: float = 10.0
    task: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("trees", 1), ("depth", 1), ("rate", 1e-6), ("components", 0), ("leaf", 1), ("seed", 0)):
            at_least(name, getattr(self, name), least)
        at_least("shrinkage", self.shrinkage, 0.0)

    def fit(self, inputs: Inputs, quality: Floats) -> Lesson:
        """Return the trees, the directions and the tasks' means."""
        from sklearn.tree import DecisionTreeRegressor

        tasks = Tasks.of(inputs, quality, use=self.task)
        count = self.components
        base = inputs.once(("directions", count), lambda: directions(inputs.vectors, count)) if count else {}
        columns = _columns(base, tasks.names, inputs)
        residual = quality - tasks.left_out(inputs, quality)
        chance = np.random.default_rng(self.seed)
        parts: dict[str, list[NDArray[Any]]] = {name: [] for name in _NODES}
        roots = [0]
        for _ in range(self.trees):
            drawn = np.sort(chance.permutation(len(columns))[: max(2, len(columns) // 2)])
            grower = DecisionTreeRegressor(
                max_depth=self.depth,
                min_samples_leaf=min(self.leaf, max(1, len(drawn) // 4)),
                max_features="sqrt",
                random_state=int(chance.integers(2**31)),
            )
            tree = grower.fit(columns[drawn], np.where(np.isnan(residual), 0.0, residual)[drawn]).tree_
            value = self.rate * self._leaves(tree.apply(columns[drawn]), tree.node_count, residual[drawn])
            residual = residual - value[tree.apply(columns)]
            inner = tree.children_left >= 0
            # A leaf leads to itself, so that walking `depth` steps ends in a leaf from anywhere.
            own = np.arange(tree.node_count)
            parts["left"].append(np.where(inner, tree.children_left, own) + roots[-1])
            parts["right"].append(np.where(inner, tree.children_right, own) + roots[-1])
            parts["feature"].append(np.where(inner, tree.feature, 0))
            parts["threshold"].append(tree.threshold)
            parts["value"].append(value)
            roots.append(roots[-1] + tree.node_count)
        nodes = {name: np.concatenate(arrays) for name, arrays in parts.items()}
        small = {name: nodes[name].astype(np.int32) for name in _NODES[:3]}
        return Lesson(
            arrays={**tasks.arrays(), **base, **nodes, **small, "roots": np.array(roots[:-1], dtype=np.int32)},
            about={"tasks": list(tasks.names)},
        )

    def predict(self, lesson: Lesson, inputs: Inputs) -> Floats:
        """Return the task's means plus the sums of the leaves, kept within [0, 1]."""
        base = {name: lesson.arrays[name] for name in ("centre", "axes") if name in lesson.arrays}
        columns = _columns(base, lesson.about["tasks"], inputs)
        total = Tasks.read(lesson)(inputs) + ensemble(lesson.arrays, columns, self.depth)
        return np.asarray(np.clip(total, 0.0, 1.0))

    def _leaves(self, leaf: NDArray[Any], count: int, residual: Floats) -> Floats:
        """Return the shrunk mean residual of every node that is a leaf, count × models; a model not recorded adds nothing."""
        member = np.zeros((count, len(leaf)))
        member[leaf, np.arange(len(leaf))] = 1.0
        known = ~np.isnan(residual)
        weight = member @ known.astype(float)
        return np.asarray((member @ np.where(known, residual, 0.0)) / np.maximum(weight + self.shrinkage, 1e-9))


def ensemble(arrays: Arrays, columns: NDArray[np.float32], depth: int) -> Floats:
    """Return the sum over the trees of the leaves' values, n × models."""
    rows = np.arange(len(columns))
    out = np.zeros((len(columns), arrays["value"].shape[1]))
    for root in arrays["roots"]:
        at = np.full(len(columns), int(root), dtype=np.intp)
        for _ in range(depth):
            low = columns[rows, arrays["feature"][at]] <= arrays["threshold"][at]
            at = np.where(low, arrays["left"][at], arrays["right"][at]).astype(np.intp)
        out += arrays["value"][at]
    return out


def directions(vectors: Floats, count: int) -> dict[str, Floats]:
    """Return the centre and the main axes (dimensions × count) of vectors, scaled so that the first varies by 1."""
    centre = vectors.mean(axis=0)
    size, axes = np.linalg.eigh((vectors - centre).T @ (vectors - centre) / len(vectors))
    axes = axes[:, ::-1][:, : min(count, len(size))]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return {"centre": centre, "axes": axes / np.sqrt(max(float(size[-1]), 1e-12))}


def _columns(base: Arrays, tasks: Any, inputs: Inputs) -> NDArray[np.float32]:
    parts = [inputs.surface, one_hot(inputs.tasks, tasks)]
    if base:
        # Rounded, so that a batch and a single prompt fall on the same side of a threshold.
        parts.append(np.round((inputs.vectors - base["centre"]) @ base["axes"], 7))
    # Trees compare 32-bit features, as scikit-learn's do.
    return np.concatenate(parts, axis=1).astype(np.float32)
