"""Work orders of a simulated plant as its maintenance system exports them, flaws and all.

Every failure is notified, every work and inspection is an order, and beside each row stands what
it really is. Times are local without a zone, numbers have decimal commas.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pm_app.errors import BadSettings
from pm_app.simulator.order_files import (
    OrderEntry,
    OrderExport,
    OrderFact,
    PrintedTime,
    write_files,
)
from pm_app.simulator.order_texts import (
    KIND_TEXTS,
    ORDER_TEXTS,
    SYSTEM_CODES,
    UNRELATED,
    misspelled_assets,
    transcribed,
)
from pm_app.simulator.plant import SimulatedPlant
from pm_app.simulator.policy import MODES, check_within
from pm_app.simulator.truth import TruePlant
from pm_app.times import HOUR_NS

_DAY_NS = 24 * HOUR_NS
# A share of texts that somebody without umlauts types.
_TRANSCRIBED: Final = 0.15


@dataclass(frozen=True)
class ExportFlaws:
    """How badly orders are kept; each share is of all orders unless it says otherwise.

    english: written in English, the others in German. coded: with a code of the system; the
    others have their text alone. typed_wrong: two letters of the text changed places. date_only:
    without a time of day. late: booked about late_days late; undated: of those, the share without
    any date but that of the booking. repeated: of failures, booked once more as another order
    within a day. misspelled_assets: written in another way; wrong_assets: another asset, or one
    that nobody knows. corrected: came with a wrong asset, cause or date, and right under the same
    number one to three weeks later. unrelated: orders that are about no pump or about nothing, by
    number of the others. An export is made every file_days, and holds again what was booked or
    changed in the last overlap_days of the one before.
    """

    seed: int = 0
    timezone: str = "Europe/Berlin"
    english: float = 0.3
    coded: float = 0.5
    typed_wrong: float = 0.03
    date_only: float = 0.3
    late: float = 0.1
    late_days: float = 6.0
    undated: float = 0.3
    repeated: float = 0.15
    misspelled_assets: float = 0.1
    wrong_assets: float = 0.03
    corrected: float = 0.05
    unrelated: float = 0.1
    file_days: int = 7
    overlap_days: int = 1

    def __post_init__(self) -> None:
        """Raises BadSettings naming what is out of bounds."""
        for name in ("english", "coded", "typed_wrong", "date_only", "late", "undated", "repeated"):
            check_within(name, getattr(self, name), 0, 1)
        for name in ("misspelled_assets", "wrong_assets", "corrected", "unrelated"):
            check_within(name, getattr(self, name), 0, 1)
        check_within("late_days", self.late_days, 0.1, 365)
        check_within("file_days", self.file_days, 1, 3660)
        check_within("overlap_days", self.overlap_days, 0, self.file_days)


def export_orders(plant: SimulatedPlant, flaws: ExportFlaws | None = None) -> OrderExport:
    """The files that a maintenance system hands out; the same plant and flaws give the same.

    Raises BadSettings for a plant of a plan without a policy, which knows no work.
    """
    if plant.truth is None:
        raise BadSettings("orders need a plan with a policy, got policy None")
    flaws = flaws or ExportFlaws()
    clerk = _Clerk(plant.assets, flaws)
    entries: list[OrderEntry] = []
    for fact in _facts(plant, plant.truth):
        entry = clerk.book(fact, len(entries))
        entries.append(entry)
        if fact.kind == "failure" and clerk.happens(flaws.repeated):
            entries.append(clerk.book_again(entry, len(entries)))
    for _ in range(round(flaws.unrelated * len(entries))):
        entries.append(clerk.book_unrelated(plant, len(entries)))
    entries += [
        clerk.book_wrong(entry)
        for entry in tuple(entries)
        if entry.role == "event" and clerk.happens(flaws.corrected)
    ]
    return write_files(entries, plant, flaws.timezone, (flaws.file_days, flaws.overlap_days))


def _facts(plant: SimulatedPlant, truth: TruePlant) -> Iterator[OrderFact]:
    failures, work = plant.failures, truth.work
    for row in range(len(failures.time)):
        mode = str(failures.mode[row])
        yield OrderFact(
            "failure", mode, mode, str(failures.asset[row]), int(failures.time[row]), 0.0, row, -1
        )
    for row in range(len(work.end)):
        hours = (int(work.end[row]) - int(work.begin[row])) / HOUR_NS
        names = (str(column[row]) for column in (work.kind, work.code, work.mode, work.asset))
        kind, code, mode, asset = names
        yield OrderFact(kind, code, mode, asset, int(work.end[row]), hours, -1, row)


class _Clerk:
    """Who books orders: in two languages, late, twice, and not always right."""

    def __init__(self, assets: tuple[str, ...], flaws: ExportFlaws) -> None:
        self._assets, self._flaws = assets, flaws
        self._rng = np.random.default_rng([flaws.seed, 2])

    def happens(self, share: float) -> bool:
        """Whether something of this share does."""
        return bool(self._rng.random() < share)

    def book(self, fact: OrderFact, order: int) -> OrderEntry:
        """The order of what happened."""
        flaws, rng = self._flaws, self._rng
        late = self.happens(flaws.late)
        wait = 24 * flaws.late_days * rng.lognormal(0, 0.5) if late else rng.uniform(0.2, 10)
        printed = self._printed(fact.time, undated=late and self.happens(flaws.undated))
        equipment, flawed = self._equipment(fact.asset)
        entry = OrderEntry(
            fact=fact,
            order=order,
            role="event",
            booked=fact.time + round(wait * HOUR_NS),
            printed=printed,
            equipment=equipment,
            flaws=(*flawed, *(("late",) if late else ())),
            cost=float(rng.lognormal(6, 1)),
        )
        return self._worded(entry, fact.code)

    def book_again(self, first: OrderEntry, order: int) -> OrderEntry:
        """The same failure, as the next shift books it."""
        later = first.fact.time + round(self._rng.uniform(1, 24) * HOUR_NS)
        equipment, flawed = self._equipment(first.fact.asset)
        again = replace(
            first,
            order=order,
            role="repeat",
            booked=max(first.booked, later) + round(self._rng.uniform(0.1, 3) * HOUR_NS),
            printed=self._printed(later, undated=False),
            equipment=equipment,
            flaws=flawed,
        )
        return self._worded(again, first.fact.code)

    def book_wrong(self, right: OrderEntry) -> OrderEntry:
        """What an order said before it was corrected, three weeks later at most.

        `right` stays as it is but for the time of its change, which `write_files` takes from here.
        """
        changed = right.booked + round(self._rng.uniform(7, 21) * _DAY_NS)
        wrong = replace(right, role="superseded", corrected=changed)
        what = ("asset", "cause", "date")[self._rng.integers(3)]
        others = [mode for mode in MODES if mode != right.fact.mode]
        if what == "cause" and right.fact.mode:
            code = right.fact.code.replace(right.fact.mode, others[self._rng.integers(3)])
            return self._worded(replace(wrong, flaws=(*wrong.flaws, "wrong_cause")), code)
        if what == "date" and right.printed.at is not None:
            early = right.printed.at - int(self._rng.integers(2, 9)) * _DAY_NS
            printed = replace(right.printed, at=early)
            return replace(wrong, printed=printed, flaws=(*wrong.flaws, "wrong_date"))
        equipment, flaw = self._wrong_asset(right.fact.asset)
        return replace(wrong, equipment=equipment, flaws=(*wrong.flaws, flaw))

    def book_unrelated(self, plant: SimulatedPlant, order: int) -> OrderEntry:
        """An order that says nothing of any pump's life."""
        rng = self._rng
        equipment, text = UNRELATED[rng.integers(len(UNRELATED))]
        at = plant.plan.start_ns + round(rng.uniform(0, plant.plan.days) * _DAY_NS)
        fact = OrderFact("", "", "", "", at, 0.0, -1, -1)
        return OrderEntry(
            fact=fact,
            order=order,
            role="unrelated",
            booked=at + round(rng.uniform(0.2, 10) * HOUR_NS),
            printed=self._printed(at, undated=False),
            equipment=equipment or self._assets[rng.integers(len(self._assets))],
            kind=self._pick(KIND_TEXTS["maintenance"]),
            text=text,
            cost=float(rng.lognormal(6, 1)),
        )

    def _worded(self, entry: OrderEntry, code: str) -> OrderEntry:
        """The order in words, as one for this code."""
        text = self._pick(ORDER_TEXTS[code])
        flaws = entry.flaws
        if self.happens(_TRANSCRIBED):
            text = transcribed(text)
        if self.happens(self._flaws.typed_wrong):
            place = int(self._rng.integers(len(text) - 1))
            text = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
            flaws = (*flaws, "typed_wrong")
        coded = code in SYSTEM_CODES and self.happens(self._flaws.coded)
        return replace(
            entry,
            kind=self._pick(KIND_TEXTS[entry.fact.kind]),
            code=SYSTEM_CODES[code] if coded else "",
            text=text,
            flaws=flaws,
        )

    def _pick(self, texts: tuple[tuple[str, ...], tuple[str, ...]]) -> str:
        chosen = texts[int(self.happens(self._flaws.english))]
        return chosen[self._rng.integers(len(chosen))]

    def _printed(self, at: int, *, undated: bool) -> PrintedTime:
        return PrintedTime(None if undated else at, self.happens(self._flaws.date_only))

    def _equipment(self, asset: str) -> tuple[str, tuple[str, ...]]:
        if self.happens(self._flaws.wrong_assets):
            name, flaw = self._wrong_asset(asset)
            return name, (flaw,)
        if self.happens(self._flaws.misspelled_assets):
            names = misspelled_assets(asset)
            return names[self._rng.integers(len(names))], ("misspelled_asset",)
        return asset, ()

    def _wrong_asset(self, asset: str) -> tuple[str, str]:
        others = [name for name in self._assets if name != asset]
        if others and self.happens(0.5):
            return others[self._rng.integers(len(others))], "other_asset"
        return f"pump-{900 + self._rng.integers(99)}", "unknown_asset"
