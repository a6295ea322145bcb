"""Promotion test of a first version: whether it ranks held-out failures beyond luck."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pm_app.learning.data.time_splits import LEAST_GROUPS
from pm_app.learning.evaluation.dealing import CourseRows, DealtKinds, deal_kinds
from pm_app.learning.evaluation.promotion import (
    BRIER,
    PRECISION,
    Comparison,
    HeldOutRows,
    PromotionDecision,
    compare,
    comparison_text,
    nothing_to_judge_by,
)
from pm_app.records.readings import Flags, Float64, Int32, Int64, Text
from pm_app.wording import percent_text

# A first version may be as good as this share of deals of the failures, no more.
LUCK = 0.01
# Share of the outcomes' variance that risks have to claim for themselves (the variance of the
# risks over that of outcomes at the share of failures in training). Forests that had learned
# shuffled labels claimed 0.010 at most in 221 trials, and ranked failures beyond luck in 42: what
# is unusual does fail more often. Those that had learned true ones claimed at least 0.26.
LEAST_CLAIM = 0.02
# Of a code with fewer held-out failures nothing can be said by itself.
FEWEST_OF_A_CODE = 3
# Codes asked by themselves, the commonest: each more makes all surer by chance.
MOST_CODES = 6
# A code whose failures are ranked no better than by so many deals came without warning.
UNANNOUNCED = 0.05


@dataclass(frozen=True, eq=False)
class FirstVersionRows:
    """What a first version is judged by besides its held-out rows; arrays have shape (n_rows,).

    asset, cutoff: whose rows they are, and when. guess: the share of failures, or the mean
    value, among the rows it learned from; one for all or by row. apart: rows are whole lives
    (`CourseRows`). life, code: which failure a row comes before, and its code; empty where labels
    are no failures.
    """

    asset: Int32
    cutoff: Int64
    guess: float | Float64
    apart: bool = False
    life: Int32 = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    code: Text = field(default_factory=lambda: np.empty(0, dtype=object))

    def take(self, rows: Flags) -> "FirstVersionRows":
        """The same with only these rows."""
        guess = np.broadcast_to(self.guess, len(rows))[rows]
        life, code = self.life, self.code
        return FirstVersionRows(
            self.asset[rows],
            self.cutoff[rows],
            guess,
            self.apart,
            life[rows] if len(life) else life,
            code[rows] if len(code) else code,
        )


def judge_first(
    challenger: Float64, rows: HeldOutRows, first: FirstVersionRows
) -> PromotionDecision:
    """Whether a version may score where none does; arguments as of `judge`.

    Its average precision has to exceed what all but `LUCK` of the deals of the failures give
    (`deal_kinds`), of all failures, of one code or of the newest origin; several chances are paid
    for. Its Brier score
    must not be worse than that of the guess beyond noise, failures of codes that came without
    warning left aside. To be better beyond noise is not asked: with few failures no Brier score
    is, however well they were foreseen. Its risks have to differ, or they would tell nobody
    anything. A value has to be nearer than the guess beyond noise.
    """
    labelled = np.isfinite(rows.labels)
    if not labelled.any():
        return nothing_to_judge_by()
    rows, first, risk = rows.take(labelled), first.take(labelled), challenger[labelled]
    if not rows.ranks:
        comparisons = compare(risk, np.asarray(first.guess), rows)
        return _decide(_lacks_of_a_value(comparisons, rows), comparisons)
    if rows.labels.min() == rows.labels.max():
        lack = "held-out rows that fail and rows that do not are both needed"
        return _decide([lack], compare(risk, np.asarray(first.guess), rows))
    found = _test_ranking(risk, rows, first)
    counted = ~np.isin(_codes(rows, first), found.unannounced)
    comparisons = compare(risk[counted], np.asarray(first.guess)[counted], rows.take(counted))
    lacks = [*found.lacks(), *_lacks_of_risks(risk, comparisons, first, rows)]
    figures = [found.text(), *_failures_text(rows, first, found.unannounced)]
    return _decide(lacks, comparisons, figures)


@dataclass(frozen=True, eq=False)
class _RankingTest:
    """What failures dealt anew say of a ranking. codes: those asked by themselves, in the order
    of kinds."""

    deals: DealtKinds
    codes: tuple[str, ...]
    newest: int | None

    @property
    def asked(self) -> tuple[int, ...]:
        """Kinds: all failures, those of each code, those of the newest origin, which alone asks
        the very version that would score."""
        kinds = tuple(range(1 + len(self.codes)))
        return kinds if self.newest is None else (*kinds, self.newest)

    @property
    def best(self) -> int:
        """The kind farthest beyond luck, all together among equals."""
        return min(self.asked, key=lambda kind: self.deals.of(kind).p)

    @property
    def unannounced(self) -> list[str]:
        """Codes whose failures came without warning."""
        alone = enumerate(self.codes, 1)
        return [code for kind, code in alone if self.deals.of(kind).p > UNANNOUNCED]

    @property
    def level(self) -> float:
        """The p needed."""
        return self.deals.level(LUCK, self.asked)

    def lacks(self) -> list[str]:
        """What the ranking lacks, in words."""
        best = self.deals.of(self.best)
        if np.isinf(best.needed(self.level)):
            return [
                f"the held-out failures can be dealt in {best.ways:,} ways, {round(1 / LUCK)} "
                "needed to tell skill from luck"
            ]
        return ["ranks failures no better than luck may"] if best.p > self.level else []

    def text(self) -> str:
        """How far average precision is from what is needed."""
        of_codes = [f" of code {code}" for code in self.codes]
        whose = dict(zip(self.asked, ["", *of_codes, " of the newest"], strict=False))
        best = self.deals.of(self.best)
        text = f"{PRECISION}{whose[self.best]} {best.found:.3g}"
        needed = best.needed(self.level)
        if np.isinf(needed):
            return text
        return (
            f"{text}, more than {needed:.3g} needed ({1 - LUCK:.0%} of failures dealt anew reach "
            f"no more; half of them {np.median(best.dealt):.3g})"
        ).replace("%", " %")


def _codes(rows: HeldOutRows, first: FirstVersionRows) -> Text:
    """The code of the failure each row comes before, "" where it survives or nothing tells."""
    codes: Text = np.full(len(rows.labels), "", dtype=object)
    if len(first.code):
        codes[rows.labels > 0] = first.code[rows.labels > 0]
    return codes


def _test_ranking(risk: Float64, rows: HeldOutRows, first: FirstVersionRows) -> _RankingTest:
    kind, code_of = (rows.labels > 0).astype(np.int32), _codes(rows, first)
    codes = _codes_asked(code_of, rows.labels > 0, first.life) if len(first.life) else ()
    if codes:
        # What is asked together alone comes last.
        kind *= len(codes) + 1
    for number, code in enumerate(codes, 1):
        kind[code_of == code] = number
    courses = CourseRows(kind, first.asset, first.cutoff, rows.origin, first.apart)
    deals = deal_kinds(risk, courses, seed=rows.seed)
    # Kinds without the newest origin: one row for all, one for each.
    last = 1 + int(kind.max())
    return _RankingTest(deals, codes, last if len(deals.precision) > last else None)


def _codes_asked(code_of: Text, fails: Flags, life: Int32) -> tuple[str, ...]:
    """Codes of enough failures, the commonest first; none where all failures are of one code."""
    _, one = np.unique(life[fails], return_index=True)
    every = code_of[fails][one].tolist()
    codes = sorted(set(every) - {""}, key=lambda code: (-every.count(code), code))
    enough = [code for code in codes if FEWEST_OF_A_CODE <= every.count(code) < len(every)]
    return tuple(enough[:MOST_CODES])


def _failures_text(
    rows: HeldOutRows, first: FirstVersionRows, unannounced: Sequence[str]
) -> list[str]:
    """How many failures there were, and which came without warning."""
    if not len(first.life):
        return []
    fails, code_of = rows.labels > 0, _codes(rows, first)
    total = len(np.unique(first.life[fails]))
    origins = len(np.unique(rows.origin))
    of = f"{total} failures" + (f" at {origins} origins" if origins > 1 else "")
    if not unannounced:
        return [of]
    counts = {code: len(np.unique(first.life[code_of == code])) for code in unannounced}
    words = " and ".join(f"{count} of code {code}" for code, count in counts.items())
    return [f"{total - sum(counts.values())} of {of}; {words} came without warning"]


def _decide(
    lacks: Sequence[str], comparisons: tuple[Comparison, ...], dealt: Sequence[str] = ()
) -> PromotionDecision:
    beats = "beyond luck" if dealt else "beats a constant guess"
    outcome = f"kept out: {', '.join(lacks)}" if lacks else f"promoted: first version, {beats}"
    measures = [one for one in comparisons if not (dealt and one.measure == PRECISION)]
    figures = [*dealt[:1], comparison_text(measures), *dealt[1:]]
    return PromotionDecision(
        not lacks, f"{outcome}: {', '.join(filter(None, figures))}", comparisons
    )


def _lacks_of_a_value(comparisons: Sequence[Comparison], rows: HeldOutRows) -> list[str]:
    if all(one.better for one in comparisons):
        return []
    groups = len(np.unique(rows.groups))
    if groups < LEAST_GROUPS:
        return [f"held-out rows of {groups} machines or spells, {LEAST_GROUPS} needed"]
    return ["no better than a constant guess"]


def _lacks_of_risks(
    risk: Float64, comparisons: Sequence[Comparison], first: FirstVersionRows, rows: HeldOutRows
) -> list[str]:
    """What risks lack besides their order, in words; they have to differ at the newest origin, or
    within origins."""
    lacks = []
    if any(one.worse for one in comparisons if one.measure == BRIER):
        lacks.append("its risks are farther off than a constant guess")
    _, origin = np.unique(rows.origin, return_inverse=True)
    means, guess = np.bincount(origin, risk) / np.bincount(origin), float(np.mean(first.guess))
    claim = max(np.var(risk[origin == 0]), np.mean((risk - means[origin]) ** 2))
    if claim < LEAST_CLAIM * guess * (1 - guess):
        low, high = percent_text(float(risk.min())), percent_text(float(risk.max()))
        lacks.append(f"its risks hardly differ ({low} to {high})")
    return lacks
