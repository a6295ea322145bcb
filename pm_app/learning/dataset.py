"""Datasets and tasks: what a retraining may look at, and what it works on."""

from dataclasses import dataclass, field, replace

import numpy as np

from pm_app.records.features import FeatureLimits, FeatureSpec, FeedPace, Frame
from pm_app.records.labels import NO_MODES, FailureModes, Labels, Split
from pm_app.records.learning import Head
from pm_app.records.readings import Text


@dataclass(frozen=True, eq=False)
class Dataset:
    """Features at cutoffs up to a moment, with their labels.

    informative: the features of the frame that are worth learning from, in its order.
    missed: words on failures that came but teach nothing, "" without any. too_fine:
    sensors that change by less than 32-bit numbers of their size can tell.
    regimes: in words, what regimes there are or why none. champion_frame: the same cutoffs as
    the champion sees them, None where features of one name have the same values in `frame`.
    failures_from_verdicts: how many of the failures that teach came from verdicts. paces: of the
    feeds of events; the frames have no limits yet. codes: (n_rows,), of the failure each row comes
    before, "" without one; empty where nothing tells. modes: of its failures, those of `labels`.
    heard_until: when failures and maintenance were last told of, nanoseconds UTC, where they have
    stopped since. normal_version: whose deviation is a feature of the frame, 0 for none.
    no_deviation: why none is offered though there is one, in words.
    """

    spec: FeatureSpec
    frame: Frame
    labels: Labels
    informative: tuple[str, ...]
    missed: str = ""
    too_fine: tuple[str, ...] = ()
    regimes: str = ""
    champion_frame: Frame | None = None
    failures_from_verdicts: int = 0
    paces: tuple[FeedPace, ...] = ()
    codes: Text = field(default_factory=lambda: np.empty(0, dtype=object))
    modes: FailureModes = NO_MODES
    heard_until: int | None = None
    normal_version: int = 0
    no_deviation: str = ""

    @property
    def renews(self) -> bool:
        """Whether some maintenance begins ages and lives anew."""
        return bool(self.spec.renewals)


@dataclass(frozen=True)
class Evidence:
    """Evidence that a retraining weighs besides its dataset.

    now: ISO time. in_a_row_before: how many retrainings up to the last one found another
    ranking than the champion's; failures_before: how many failures the champion had seen,
    failures_last: how many the last retraining had. forced: a person asks for a rebuild.
    """

    now: str
    in_a_row_before: int = 0
    failures_before: int = 0
    failures_last: int = 0
    forced: bool = False


@dataclass(frozen=True, eq=False)
class LearningTask:
    """Task of one retraining: rows of a frame by their use, labels, and the head.

    kind: "life" (failing within each horizon), "classification" or "regression". labels: each row
    knows what was known when its part ended. limits: those that the train rows teach, and the frame
    has. known_labels: rows that teach know all there was before the test; None where that is the
    same.
    """

    kind: str
    horizons_hours: tuple[float, ...]
    frame: Frame
    labels: Labels
    split: Split
    head: Head
    limits: FeatureLimits | None = None
    known_labels: Labels | None = None

    @property
    def of_all_rows(self) -> "LearningTask":
        """The task of what learns from all parts but the test, whatever part a row is in."""
        return replace(self, labels=self.known_labels or self.labels)
