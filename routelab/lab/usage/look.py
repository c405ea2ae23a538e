"""The monitor's findings: templates that a leaner one replaces, and what was seen inside the types of query."""

from __future__ import annotations

from routelab.lab.usage.findings import Findings, merged, sorted_findings
from routelab.lab.usage.heavy import heavy
from routelab.lab.usage.monitor import Prices, Usage, usage
from routelab.lab.usage.scope import Log, Scope
from routelab.lab.usage.waste import waste

MARGIN = 0.02


def findings(
    log: Log,
    scope: Scope | None = None,
    *,
    margin: float = MARGIN,
    prices: Prices = lambda model: None,
    used: Usage | None = None,
) -> Findings:
    """Return what uses more than it is shown to need, with what shows it; `used` is the usage of the same scope, if it is at hand."""
    scope = Scope() if scope is None else scope
    used = usage(log, scope, prices=prices) if used is None else used
    found, untold = heavy(log, scope, margin=margin)
    earned = {(u.template, u.model, u.simulated) for u in untold if u.earned}
    seen = [
        f
        for f in waste(log, used, scope, prices)
        # That words are many is nothing to act on where fewer of them were tried, and were worse.
        if f.kind != "output" or (f.template, f.model, f.simulated) not in earned
    ]
    return Findings(found=sorted_findings([*found, *merged(seen)]), untold=tuple(untold), margin=margin)
