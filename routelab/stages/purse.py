"""A budget that concurrent calls cannot overspend: the worst case is set aside before a call, the real cost replaces it after."""

from __future__ import annotations

import itertools
import threading

from routelab.core.errors import BudgetExceeded


class Budget:
    """So many USD and no more; thread-safe.

    Check-then-act budgets are passed by concurrent calls; this one reserves first, so `spent_usd` never exceeds `limit_usd`
    as long as no call costs more than its own worst case.
    """

    def __init__(self, limit_usd: float) -> None:
        self.limit_usd = limit_usd
        self._lock = threading.Lock()
        self._tickets = itertools.count(1)
        self._reserved: dict[int, float] = {}
        self._spent = 0.0

    @property
    def spent_usd(self) -> float:
        """What finished calls cost, in USD."""
        return self._spent

    @property
    def committed_usd(self) -> float:
        """Spent plus reserved, in USD."""
        with self._lock:
            return self._spent + sum(self._reserved.values())

    def reserve(self, usd: float | None, *, what: str) -> int | None:
        """Set the amount aside and return a ticket, or None while other calls hold what it needs: ask again when one has settled.

        Raises BudgetExceeded when it would not fit even if every call under way cost nothing, or when its price is not known.
        """
        if usd is None:
            raise BudgetExceeded(
                f"{what} has no known price, so a budget of ${self.limit_usd:g} cannot be kept",
                hint="give the model a price in fleet.yaml (usd_per_mtok_in, usd_per_mtok_out), or drop the budget",
            )
        with self._lock:
            if (
                self._reserved
                and self._spent + usd <= self.limit_usd < self._spent + sum(self._reserved.values()) + usd
            ):
                return None
            if self._spent + sum(self._reserved.values()) + usd > self.limit_usd:
                raise BudgetExceeded(
                    f"stopped at ${self._spent:.4g} of ${self.limit_usd:g}: {what} could cost ${usd:.4g} more",
                    hint="raise --budget, lower --max-tokens, or limit the number of prompts; finished answers are kept",
                )
            ticket = next(self._tickets)
            self._reserved[ticket] = usd
            return ticket

    def settle(self, ticket: int, usd: float | None) -> None:
        """Replace the reservation by the real cost; an unknown one counts as the whole reservation."""
        with self._lock:
            reserved = self._reserved.pop(ticket)
            self._spent += reserved if usd is None else usd
