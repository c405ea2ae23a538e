"""A budget that concurrent calls cannot overspend: the worst case is set aside before a call, the real cost replaces it after."""

from __future__ import annotations

import itertools
import math
import threading
from fractions import Fraction

from routelab.core.errors import BudgetExceeded, ConfigError
from routelab.present import usd as money


class Budget:
    """So many USD and no more; thread-safe.

    Check-then-act budgets are passed by concurrent calls; this one reserves first, so `spent_usd` never exceeds `limit_usd`
    as long as no call costs more than its own worst case. Raises ConfigError for a limit that is not a number of at least 0.
    """

    def __init__(self, limit_usd: float) -> None:
        if not _amount(limit_usd):
            raise ConfigError(f"budget_usd: must be a number of at least 0, not {limit_usd}")
        self.limit_usd = limit_usd
        self._lock = threading.Lock()
        self._tickets = itertools.count(1)
        # Exact: sums of floats depend on their order, and a last digit too much is still overspent.
        self._limit = Fraction(limit_usd)
        self._reserved: dict[int, Fraction] = {}
        self._held = Fraction(0)
        self._spent = Fraction(0)

    @property
    def spent_usd(self) -> float:
        """What finished calls cost, in USD."""
        return float(self._spent)

    @property
    def committed_usd(self) -> float:
        """Spent plus reserved, in USD."""
        with self._lock:
            return float(self._spent + self._held)

    def reserve(self, usd: float | None, *, what: str) -> int | None:
        """Set the amount aside and return a ticket, or None while other calls hold what it needs: ask again when one has settled.

        Raises BudgetExceeded when it would not fit even if every call under way cost nothing, or when its price is not known.
        """
        if usd is None or not _amount(usd):
            raise BudgetExceeded(
                f"{what} has no known price, so a budget of {money(self.limit_usd)} cannot be kept",
                hint="give the model a price in fleet.yaml (usd_per_mtok_in, usd_per_mtok_out), or drop the budget",
            )
        worst = Fraction(usd)
        with self._lock:
            if self._spent + worst > self._limit:
                raise BudgetExceeded(
                    f"stopped at {money(float(self._spent))} of {money(self.limit_usd)}: {what} could cost {money(usd)} more",
                    hint="raise --budget, lower --max-tokens, or limit the number of prompts; finished answers are kept",
                )
            if self._spent + self._held + worst > self._limit:
                return None
            ticket = next(self._tickets)
            self._reserved[ticket] = worst
            self._held += worst
            return ticket

    def settle(self, ticket: int, usd: float | None) -> None:
        """Replace the reservation by the real cost; one that is not known, or no amount of money, counts as the whole reservation."""
        with self._lock:
            reserved = self._reserved.pop(ticket)
            self._held -= reserved
            self._spent += reserved if usd is None or not _amount(usd) else Fraction(usd)


def _amount(usd: float) -> bool:
    # A NaN would compare as false with every limit, and so lift it.
    return math.isfinite(usd) and usd >= 0
