"""Records of a version: importance, allocation, calibration, metrics.

All of these are plain values (tuples, floats, text) and travel as JSON.
"""

from dataclasses import dataclass, field

from pm_app.records.features import FeatureSpec


@dataclass(frozen=True)
class Interaction:
    """Two sensors whose joint importance exceeds the sum of their own, in units of score."""

    sensors: tuple[str, str]
    excess: float


@dataclass(frozen=True)
class Importance:
    """Share of predictive power per sensor: non-negative, summing to 1.

    replicates holds the shares found on each resampling of the lives (or time blocks),
    (n_replicates, n_sensors): their spread is what a ranking may wobble without meaning.
    clusters groups sensors that move together (Spearman); cluster_shares is the share lost
    when a whole cluster is permuted, in the order of `clusters`. feature_shares: what trees gained
    by each of `features`, summing to 1; both are () where only sensors were asked. mode_shares:
    of sensors for each of `modes`, (n_modes, n_sensors), each summing to 1; both are () where modes
    are not told apart.
    """

    sensors: tuple[str, ...]
    shares: tuple[float, ...]
    spread: tuple[float, ...]
    replicates: tuple[tuple[float, ...], ...]
    clusters: tuple[tuple[str, ...], ...]
    cluster_shares: tuple[float, ...]
    interactions: tuple[Interaction, ...]
    score_name: str
    score: float
    features: tuple[str, ...] = ()
    feature_shares: tuple[float, ...] = ()
    modes: tuple[str, ...] = ()
    mode_shares: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class Tier:
    """Sensors of like importance and what their branch of the network gets.

    embedding is the width of the periodic embedding of each feature (Gorishniy, Rubachev &
    Babenko 2022), 0 for none. features: those of its sensors that the branch reads, () for all.
    """

    name: str
    sensors: tuple[str, ...]
    units: int
    embedding: int
    dropout: float
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gate:
    """A learned weight per sensor and prediction: how many units decide on it, where it starts.

    start: one weight per sensor in (0, 2), in the order of the allocation's sensors; 1 leaves
    a sensor as it is.
    """

    units: int
    start: tuple[float, ...]


@dataclass(frozen=True)
class Allocation:
    """The frozen plan a network is built from.

    A sensor of which nothing is read is in no tier. l1 holds one penalty per sensor, in the
    order of the tiers' sensors put end to end. shared_units are the widths of the layers behind
    the concatenated branches. parameters is what the built network will count, members included.
    gate: of the strategy "attention" only. indicators: features beside which the network sees
    whether they are missing. packs: kernels a layer has, each shared by as many members. scaling:
    how features are scaled; "clipped" in plans of before there was "bounded".
    """

    strategy: str
    tiers: tuple[Tier, ...]
    l1: tuple[float, ...]
    shared_units: tuple[int, ...]
    members: int
    parameters: int
    gate: Gate | None = None
    indicators: tuple[str, ...] = ()
    packs: int = 1
    scaling: str = "clipped"

    @property
    def sensors(self) -> tuple[str, ...]:
        """All sensors that have a place, tier by tier."""
        return tuple(name for tier in self.tiers for name in tier.sensors)

    @property
    def features(self) -> tuple[str, ...]:
        """The features that are read, tier by tier; () where all are."""
        return tuple(name for tier in self.tiers for name in tier.features)


@dataclass(frozen=True)
class Drift:
    """Drift of the ranking: how it compares with the champion's, and what follows from it.

    verdict: "first", "keep", "refit", "rebuild" or "not_enough_data". tau is the weighted
    Kendall correlation of the two rankings (Vigna 2015); p_value is how often resampling alone
    gives a change at least as large; moved_units is the share of units the new allocation
    would move; in_a_row counts retrainings, this one included, whose ranking differed beyond
    chance, each on failures the one before did not know. top_overlap is the share of the
    leading sensors of either ranking that lead the other as well, twins counted as one.
    """

    verdict: str
    reason: str
    tau: float | None
    p_value: float | None
    moved_units: float | None
    in_a_row: int
    top_overlap: float | None = None


@dataclass(frozen=True)
class Calibration:
    """Maps raw model outputs to what is shown.

    Risk at horizon k is sigmoid(slope[k] * logit(raw) + intercept[k]) (Platt 1999), then made
    non-decreasing over horizons. The interval of the life left is
    [low quantile - rul_margin_low, high quantile + rul_margin_high], in hours, clipped to
    [0, cap] (conformalised quantiles, Romano, Patterson & Candès 2019), each bound moved outwards
    by its share of the distance of both quantiles besides. For a regressed column the same margins
    apply to the value. least, most: risks at horizon k that are neared and never passed, for no
    life said less or more; () in versions before there were any.
    """

    slope: tuple[float, ...]
    intercept: tuple[float, ...]
    rul_margin_low: float
    rul_margin_high: float
    least: tuple[float, ...] = ()
    most: tuple[float, ...] = ()
    rul_share_low: float = 0.0
    rul_share_high: float = 0.0


@dataclass(frozen=True)
class Head:
    """Head of a network: what its outputs mean.

    kind "hazard": output (n, n_edges) is the survival probability at edges_hours, ascending,
    the last being the cap of the life left. kind "classification": output (n, 1) is the
    probability of the positive class. kind "regression": output (n, 1) is the value.
    horizons_hours: the horizons a risk is given for; all are among the edges. For column
    targets horizons_hours is (0.0,). modes: names of failure modes, "other" last where it exists;
    () where failures are not told apart.
    """

    kind: str
    edges_hours: tuple[float, ...]
    horizons_hours: tuple[float, ...]
    modes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Revision:
    """Importance looked at again inside training, and whether a new plan helped.

    shares: importance as the network told it, in the order of `sensors`. tau: how it agrees
    with the forest's (weighted Kendall). moved_units: share of units the new plan moved.
    loss_before, loss_after: validation losses of both trainings at their best; kept: whether
    the new plan was better by more than noise, and stayed. epochs: how many training had run
    when the plan changed, 0 where it did not.
    """

    sensors: tuple[str, ...]
    shares: tuple[float, ...]
    tau: float
    moved_units: float
    loss_before: float
    loss_after: float
    kept: bool
    epochs: int = 0


@dataclass(frozen=True)
class Bin:
    """Risks of a tenth of the range: how many, what they say on average, and what came."""

    count: int
    said: float
    came: float


@dataclass(frozen=True)
class QualityReport:
    """Measured quality of one model on the held-out rows of one version.

    metrics: name → figure, e.g. average_precision_72h, brier_72h, rul_rmse_hours. bins: what
    came of its risks at the longest horizon, lowest first; empty where it was not kept.
    """

    model: str
    parameters: int | None
    metrics: dict[str, float] = field(default_factory=dict)
    bins: tuple[Bin, ...] = ()


@dataclass(frozen=True)
class PoolMember:
    """A model that may answer in a version: its share of the answer, and what it loses alone.

    name: "network", "forest" or "boosted trees". losses: means over the rows that shares were
    weighed on, of risks once corrected.
    """

    name: str
    share: float
    losses: tuple[float, ...]


@dataclass(frozen=True)
class Pool:
    """Members of a version, whose shares add up to 1, and why they have them.

    losses: of the pool at these shares, by figure as those of its members. groups: how many
    lives or spells they were weighed on. reason: in words, with what pooling gained.
    """

    members: tuple[PoolMember, ...]
    losses: tuple[float, ...]
    groups: int
    reason: str

    def share(self, name: str) -> float:
        """The share of a member; 0 where there is none of this name."""
        return next((each.share for each in self.members if each.name == name), 0.0)


@dataclass(frozen=True)
class LeakageSuspect:
    """A sensor that alone tells the target, which a leak does, and now and then a good sensor.

    kind "rank": alone and others are the average precision of ranking failures by its values
    and by all other sensors together; "value": rank correlations with a regressed value;
    "flag": the share of failures where it leaves its usual value, and what the others expect.
    """

    sensor: str
    kind: str
    alone: float
    others: float


@dataclass(frozen=True)
class RenewedLives:
    """Lives that renewals ended, and between what that leaves the share of rows that fail.

    lives: that teach; renewed: of these, how many a renewal ended. For each horizon failing: the
    share that fails within it of the rows it is known of; least and most: the share of these and
    those that a renewal within it left open, if none or all of the latter had failed (worst-case
    bounds of a censored outcome, Manski 1990).
    """

    lives: int
    renewed: int
    horizons_hours: tuple[float, ...]
    failing: tuple[float, ...]
    least: tuple[float, ...]
    most: tuple[float, ...]


@dataclass(frozen=True)
class VersionCard:
    """All that explains one trained version, but the weights themselves.

    features are those the network reads, a selection of what `spec` makes, in its order.
    feature_low and feature_high bound the training data per feature (0.1 % and 99.9 %
    quantiles); reference is the healthy median per feature that contributions are measured
    against. reports lists this model first, then the ones it was measured beside.
    trained_until: ISO time of the newest cutoff used, learned_until: of the newest it learned
    from, which its test comes after; held_out: assets tested of which it learned from no row. Both
    are empty in versions that do not say. ranked: nanoseconds of the first and the
    last failure that `importance` comes from, where the target is a life. suspicions: sensors
    that may know the outcome, for a person to judge. failures_from_verdicts: how many of the
    failures people told of, the others came as events. pool: who answers with what share; None
    where the network answers alone, as in all versions before there were pools. spread: median
    distance in log-odds, at the longest horizon, from the same learned from part of the lives.
    renewed: None where no renewal ended a life. mode_failures: how many of the failures that teach
    were of each of `head.modes`; modes_text: in words, with what was too rare for a mode.
    normal_version: the normal behaviour whose deviation is one of the features, 0 for none; it is
    stored beside the graph.
    """

    spec: FeatureSpec
    features: tuple[str, ...]
    sensor_of: tuple[str, ...]
    head: Head
    calibration: Calibration
    importance: Importance
    allocation: Allocation
    drift: Drift
    reports: tuple[QualityReport, ...]
    feature_low: tuple[float, ...]
    feature_high: tuple[float, ...]
    reference: tuple[float, ...]
    split: str
    rows: int
    failures: int
    seed: int
    settings_digest: str
    created_at: str
    trained_until: str
    parity: float
    software: dict[str, str] = field(default_factory=dict)
    revision: Revision | None = None
    suspicions: tuple[LeakageSuspect, ...] = ()
    failures_from_verdicts: int = 0
    ranked: tuple[int, int] | None = None
    reliance: tuple[float, ...] = ()
    usual_risk: float | None = None
    pool: Pool | None = None
    learned_until: str = ""
    held_out: tuple[str, ...] = ()
    spread: float | None = None
    renewed: RenewedLives | None = None
    mode_failures: tuple[int, ...] = ()
    modes_text: str = ""
    normal_version: int = 0

    @property
    def read_features(self) -> frozenset[str]:
        """Features that the answer depends on: trees read all of them."""
        alone = self.pool is None or self.pool.share("network") == 1.0
        return frozenset((self.allocation.features if alone else ()) or self.features)

    @property
    def read_sensors(self) -> frozenset[str]:
        """Sensors with a feature that the answer depends on."""
        read, pairs = self.read_features, zip(self.features, self.sensor_of, strict=True)
        return frozenset(sensor for feature, sensor in pairs if feature in read)
