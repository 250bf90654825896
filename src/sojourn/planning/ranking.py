"""Ranking: options over runtime types, as the script is and with each way to fit, best first.

In this order: what may run at all; what breaks no constraint (the wallet, the deadline); what is
sure to fit; of which a constraint is certain to hold; by units and then time, or by time and then
units; what costs nobody knows comes after what is known. The last word has the id, so that the
order does not depend on the order in which options come.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sojourn.forecast.memory import Verdict
from sojourn.planning.cost import units_of
from sojourn.planning.job import NO_FORECAST
from sojourn.planning.option import RANK
from sojourn.planning.terms import Preference

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sojourn.planning.fit import WayToFit
    from sojourn.planning.job import JobForecast
    from sojourn.planning.option import Option
    from sojourn.planning.terms import Terms


class Basis(StrEnum):
    """By what costs are compared: the most of a job whose time is known for any option."""

    RUN = "run"
    EPOCH = "epoch"
    STEP = "step"
    RATE = "rate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What can be taken: a runtime type, with the script as it is or with a way to fit."""

    option: Option
    way: WayToFit | None = None

    @property
    def job(self) -> JobForecast:
        """What the whole job takes."""
        if self.way is None:
            return self.option.job
        return self.way.job or NO_FORECAST

    @property
    def overall(self) -> Verdict:
        """The worse of the device's and the host's verdicts."""
        verdict = self.option.verdict if self.way is None else self.way.verdict
        return self.option.overall_of(verdict)

    @property
    def is_possible(self) -> bool:
        """Whether the job may run so."""
        return self.overall in {Verdict.FITS, Verdict.TIGHT}

    @property
    def breaks_constraint(self) -> bool:
        """Whether the wallet or a quota does not carry it, or it may end after the deadline."""
        return self.job.affordable is False or self.job.ends_before_deadline is False

    def leaves_open(self, terms: Terms) -> bool:
        """Whether it is not certain that the wallet carries it, or that the deadline is kept."""
        is_wallet_open = terms.wallet_units is not None and self.job.affordable is None
        is_end_open = terms.deadline_s is not None and self.job.ends_before_deadline is None
        return is_wallet_open or is_end_open

    def is_unknown_under(self, terms: Terms) -> bool:
        """Whether what a constraint bounds is not known at all."""
        is_cost_unknown = terms.wallet_units is not None and self.job.compute_units is None
        return is_cost_unknown or (terms.deadline_s is not None and self.job.run_s is None)

    def units_on(self, basis: Basis) -> float | None:
        """Return the expected units for a run, an epoch, a step or an hour; None if unknown."""
        rate, seconds = self.job.rate_units_per_hour, self.seconds_on(basis)
        if rate is None or rate == 0 or basis is Basis.RATE:
            return rate
        return None if seconds is None else units_of(rate, seconds)

    def seconds_on(self, basis: Basis) -> float | None:
        """Return the expected seconds for a run, an epoch or a step; None if unknown."""
        times = {
            Basis.RUN: self.job.run_s,
            Basis.EPOCH: self.job.epoch_s,
            Basis.STEP: self.job.step_s,
        }
        found = times.get(basis)
        return None if found is None else found.expected


def candidates_of(options: Iterable[Option]) -> list[Candidate]:
    """Return all that can be taken, the script as it is and with each way to fit."""
    found = []
    for option in options:
        found.append(Candidate(option=option))
        found += [Candidate(option=option, way=way) for way in option.ways_to_fit]
    return found


def basis_of(options: Sequence[Option]) -> Basis:
    """Return by what the options can be compared."""
    possible = [found for found in candidates_of(options) if found.is_possible]
    for basis in (Basis.RUN, Basis.EPOCH, Basis.STEP):
        if any(found.seconds_on(basis) is not None for found in possible):
            return basis
    return Basis.RATE


def ranked(candidates: Iterable[Candidate], terms: Terms, basis: Basis) -> list[Candidate]:
    """Return candidates, the best first."""
    return sorted(candidates, key=lambda candidate: _order(candidate, terms, basis))


def main_cost(candidate: Candidate, terms: Terms, basis: Basis) -> float | None:
    """Return what ranks first of what a candidate costs: units, or seconds; None if unknown."""
    if terms.prefer is Preference.FASTEST:
        return candidate.seconds_on(basis)
    return candidate.units_on(basis)


def best_as_it_is(ordered: Sequence[Option], terms: Terms) -> Option | None:
    """Return what to take for the script as it is; None if no option carries it under the terms.

    Where it is known of one option that it breaks a constraint, another of which that is not known
    is no advice: only where nothing is known of any is it taken.
    """
    possible = [Candidate(option=option) for option in ordered if option.is_possible]
    allowed = [candidate for candidate in possible if not candidate.breaks_constraint]
    if not allowed or (len(allowed) < len(possible) and allowed[0].is_unknown_under(terms)):
        return None
    return allowed[0].option


def better_with_change(
    candidates: Sequence[Candidate], recommended: Candidate | None, terms: Terms, basis: Basis
) -> Candidate | None:
    """Find a changed script that is sure to fit and beats what is recommended as it is, for sure.

    Where nothing is recommended, the best that can be done with a change.
    """
    changed = [
        found
        for found in ranked(candidates, terms, basis)
        if found.way is not None and found.is_possible and not found.breaks_constraint
    ]
    if recommended is None or not changed:
        return changed[0] if changed else None
    best, standing = changed[0], main_cost(recommended, terms, basis)
    cost = main_cost(best, terms, basis)
    is_as_sure = RANK[best.overall] <= RANK[recommended.overall]
    if basis is Basis.RATE or standing is None or cost is None or not is_as_sure:
        return None
    return best if cost < standing else None


def _order(candidate: Candidate, terms: Terms, basis: Basis) -> tuple[object, ...]:
    job, option = candidate.job, candidate.option
    units, seconds = candidate.units_on(basis), candidate.seconds_on(basis)
    costs = (units, seconds) if terms.prefer is Preference.CHEAPEST else (seconds, units)
    return (
        not candidate.is_possible,
        candidate.breaks_constraint,
        RANK[candidate.overall],
        candidate.is_unknown_under(terms),
        candidate.leaves_open(terms),
        *(math.inf if cost is None else cost for cost in costs),
        math.inf if job.rate_units_per_hour is None else job.rate_units_per_hour,
        # At one price: a runtime without a card before one whose card would lie idle, and the
        # script as it is before one that has to be changed.
        option.accelerator is not None,
        candidate.way is not None,
        option.runtime_type.id,
        candidate.way.change if candidate.way else "",
    )
