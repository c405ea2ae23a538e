"""BM25: which passages have a prompt's words, and how telling these words are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routelab.core.ports import Floats
from routelab.retrieval.words import words

K1, B = 1.2, 0.75


@dataclass(frozen=True, kw_only=True, eq=False)
class BM25:
    """Scores every passage for a prompt by Robertson's BM25 in Lucene's form; 0 is a passage without any of the words.

    score = Σ over the prompt's words t, as often as they occur in it: idf(t) · f / (f + k1 · (1 − b + b · length / mean length)),
    idf(t) = ln(1 + (n − n_t + 0.5) / (n_t + 0.5)), where f counts t in the passage, n_t the passages with t. The formula is
    Robertson and Zaragoza's (Foundations and Trends in Information Retrieval 3(4), 2009, eq. 3.15) without the constant factor
    k1 + 1 and with an idf that is never negative, both as in Lucene since version 8; lengths are not rounded to a byte
    ("accurate" in Kamphuis, de Vries, Boytsov and Lin, ECIR 2020). `weights` is sparse, words × passages.
    """

    vocabulary: Mapping[str, int]
    weights: Any
    split: Callable[[str], Sequence[str]] = words

    @staticmethod
    def of(
        texts: Sequence[str], *, k1: float = K1, b: float = B, split: Callable[[str], Sequence[str]] = words
    ) -> BM25:
        """Return the weights of all words in all texts."""
        from scipy.sparse import csr_array

        counted = [Counter(split(text)) for text in texts]
        vocabulary: dict[str, int] = {}
        rows: list[int] = []
        for count in counted:
            rows.extend(vocabulary.setdefault(word, len(vocabulary)) for word in count)
        columns = np.repeat(np.arange(len(texts)), [len(count) for count in counted])
        often = np.array([f for count in counted for f in count.values()], dtype=float)
        lengths = np.array([sum(count.values()) for count in counted], dtype=float)
        term = np.array(rows, dtype=np.intp)
        having = np.bincount(term, minlength=len(vocabulary))
        idf = np.log1p((len(texts) - having + 0.5) / (having + 0.5))
        mean = lengths.mean() if lengths.any() else 1.0
        weight = idf[term] * often / (often + k1 * (1 - b + b * lengths[columns] / mean))
        weights = csr_array((weight, (term, columns)), shape=(len(vocabulary), len(texts)))
        return BM25(vocabulary=vocabulary, weights=weights, split=split)

    def scores(self, prompt: str) -> Floats:
        """Return one score a passage; summed in the order of the vocabulary, so that equal passages score alike."""
        asked = Counter(word for word in self.split(prompt) if word in self.vocabulary)
        found: NDArray[np.float64] = np.zeros(self.weights.shape[1])
        indptr, indices, data = self.weights.indptr, self.weights.indices, self.weights.data
        for row, often in sorted((self.vocabulary[word], n) for word, n in asked.items()):
            part = slice(indptr[row], indptr[row + 1])
            found[indices[part]] += often * data[part]
        return found
