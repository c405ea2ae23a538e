"""Fits the shape of latency that `routelab.providers.practice` draws from, and prints the parameters with their fit.

    python benchmarks/latency_fit.py [../shared/data/latency/llmperf]

Source: 2,845 recorded requests to 19 endpoints (ray-project/llmperf-leaderboard, Apache-2.0), 550 tokens in, about 150
out. Requests with an error code are left out. An endpoint's level is its median; what is pooled and fitted is the
multiple of that median, for the time to first token and for the mean time between later tokens. Four families compete
by held-out log-likelihood, leaving one endpoint out at a time, because endpoints differ more than requests do.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Floats = NDArray[np.float64]
QUANTILES = (0.05, 0.5, 0.95, 0.99)


@dataclass(frozen=True, kw_only=True)
class Family:
    """A candidate: its log-density and cumulative function of a multiple, given parameters on the whole real line."""

    name: str
    start: tuple[float, ...]
    logpdf: Callable[[Floats, Sequence[float]], Floats]
    cdf: Callable[[Floats, Sequence[float]], Floats]
    told: Callable[[Sequence[float]], dict[str, float]]


def lognormal() -> Family:
    """Return the log-normal: one centre, one width."""
    return Family(
        name="log-normal",
        start=(0.0, -1.0),
        logpdf=lambda x, p: stats.norm.logpdf(np.log(x), p[0], math.exp(p[1])) - np.log(x),
        cdf=lambda x, p: stats.norm.cdf(np.log(x), p[0], math.exp(p[1])),
        told=lambda p: {"mu": p[0], "sigma": math.exp(p[1])},
    )


def shifted(least: float) -> Family:
    """Return the log-normal above a floor between 0 and the least multiple seen."""

    def floor(p: Sequence[float]) -> float:
        return least * 0.999 / (1 + math.exp(-p[2]))

    def logs(x: Floats, p: Sequence[float]) -> Floats:
        return np.asarray(np.log(np.maximum(x - floor(p), 1e-12)))

    return Family(
        name="shifted log-normal",
        start=(0.0, -1.0, -3.0),
        logpdf=lambda x, p: stats.norm.logpdf(logs(x, p), p[0], math.exp(p[1])) - logs(x, p),
        cdf=lambda x, p: np.where(x > floor(p), stats.norm.cdf(logs(x, p), p[0], math.exp(p[1])), 0.0),
        told=lambda p: {"floor": floor(p), "mu": p[0], "sigma": math.exp(p[1])},
    )


def mixture(parts: int) -> Family:
    """Return a mixture of log-normals, narrowest first."""

    def split(p: Sequence[float]) -> tuple[Floats, Floats, Floats]:
        weights = np.exp(np.append(0.0, np.clip(p[: parts - 1], -12, 12)))
        sigma = np.exp(np.clip(p[2 * parts - 1 :], -5, 2))
        order = np.argsort(sigma)
        return (weights / weights.sum())[order], np.asarray(p[parts - 1 : 2 * parts - 1])[order], sigma[order]

    def logpdf(x: Floats, p: Sequence[float]) -> Floats:
        weights, mu, sigma = split(p)
        logs = np.log(x)[:, None]
        dense = stats.norm.logpdf(logs, mu, sigma) + np.log(weights)
        return np.asarray(np.logaddexp.reduce(dense, axis=1) - logs[:, 0])

    def cdf(x: Floats, p: Sequence[float]) -> Floats:
        weights, mu, sigma = split(p)
        return np.asarray((stats.norm.cdf(np.log(np.maximum(x, 1e-12))[:, None], mu, sigma) * weights).sum(axis=1))

    def told(p: Sequence[float]) -> dict[str, float]:
        values: dict[str, float] = {}
        for k, (w, m, s) in enumerate(zip(*split(p), strict=True), start=1):
            values |= {f"weight{k}": float(w), f"mu{k}": float(m), f"sigma{k}": float(s)}
        return values

    start = (*(-1.5 * k for k in range(1, parts)), *(0.3 * k for k in range(parts)), *(k - 2.0 for k in range(parts)))
    return Family(name=f"mixture of {parts} log-normals", start=start, logpdf=logpdf, cdf=cdf, told=told)


def read(folder: Path) -> dict[str, tuple[Floats, Floats]]:
    """Return, an endpoint, the multiples of its medians: time to first token, and time per later token."""
    endpoints: dict[str, tuple[Floats, Floats]] = {}
    for path in sorted(folder.glob("*.json")):
        rows = [r for r in json.loads(path.read_text("utf-8")) if r["error_code"] is None]
        first = np.array([float(r["ttft_s"]) for r in rows])
        # The file's own inter-token figure counts some streamed pieces as tokens, so it is taken from the totals.
        total = np.array([float(r["end_to_end_latency_s"]) for r in rows])
        tokens = np.array([float(r["number_output_tokens"]) for r in rows])
        later = (total - first) / np.maximum(tokens - 1, 1)
        endpoints[path.stem] = (first / np.median(first), later / np.median(later))
    return endpoints


def fit(family: Family, x: Floats) -> Sequence[float]:
    """Return the parameters of greatest likelihood."""

    def loss(p: Sequence[float]) -> float:
        value = -float(np.sum(family.logpdf(x, p)))
        return value if math.isfinite(value) else 1e12

    best = optimize.minimize(loss, family.start, method="Nelder-Mead", options={"maxiter": 6000, "maxfev": 6000})
    best = optimize.minimize(loss, best.x, method="Nelder-Mead", options={"maxiter": 6000, "maxfev": 6000})
    return [float(v) for v in best.x]


def held_out(family: Family, groups: Sequence[Floats]) -> float:
    """Return the mean log-likelihood a request when its endpoint was left out of the fit."""
    total = 0.0
    for i, group in enumerate(groups):
        rest = np.concatenate([g for k, g in enumerate(groups) if k != i])
        total += float(np.sum(np.maximum(family.logpdf(group, fit(family, rest)), -50.0)))
    return total / sum(len(g) for g in groups)


def quantile(family: Family, p: Sequence[float], q: float) -> float:
    """Return the fitted quantile by bisection."""
    return float(optimize.brentq(lambda x: float(family.cdf(np.array([x]), p)[0]) - q, 1e-6, 1e6))


def report(title: str, groups: Sequence[Floats]) -> None:
    """Print every family's fit and say which one is best."""
    x = np.concatenate(list(groups))
    print(f"\n{title}: {len(x)} requests, {len(groups)} endpoints")
    print("  seen    " + "  ".join(f"p{q * 100:g} {np.quantile(x, q):.3f}" for q in QUANTILES))
    print(f"  seen    p95/p50 {np.quantile(x, 0.95) / np.median(x):.3f}")
    families = [lognormal(), shifted(float(x.min())), mixture(2), mixture(3)]
    scores: dict[str, float] = {}
    for family in families:
        p = fit(family, x)
        scores[family.name] = held_out(family, groups)
        ks = stats.kstest(x, lambda v, f=family, p=p: f.cdf(np.asarray(v), p)).statistic
        told = "  ".join(f"{k} {v:.4f}" for k, v in family.told(p).items())
        at = [quantile(family, p, q) for q in QUANTILES]
        print(f"  {family.name}: held-out log-likelihood {scores[family.name]:+.4f}, KS {ks:.4f}")
        print("    " + "  ".join(f"p{q * 100:g} {v:.3f}" for q, v in zip(QUANTILES, at, strict=True)), end="")
        print(f"  p95/p50 {at[2] / at[1]:.3f}\n    {told}")
    print(f"  best held out: {max(scores, key=scores.__getitem__)}")


def main(arguments: Sequence[str]) -> int:
    """Fit and print; return 1 when the recorded data is not there."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data" / "latency" / "llmperf"
    folder = Path(arguments[0]) if arguments else default
    endpoints = read(folder)
    if not endpoints:
        print(f"{folder}: no recorded latencies here", file=sys.stderr)
        return 1
    report("time to first token ÷ endpoint's median", [first for first, _ in endpoints.values()])
    report("time per later token ÷ endpoint's median", [later for _, later in endpoints.values()])
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
