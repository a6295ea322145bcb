"""Model card of a version: all that explains it, but the weights."""

from importlib.metadata import version as installed
from platform import python_version

from pm_app.learning.data.labels import count_failures
from pm_app.learning.dataset import Dataset, Evidence, LearningTask
from pm_app.learning.ranking import Ranking
from pm_app.learning.training.candidate import Candidate
from pm_app.records.learning import VersionCard
from pm_app.settings.plant import Settings
from pm_app.times import utc_text

SOFTWARE = ("pm-app", "tensorflow", "keras", "onnx", "onnxruntime", "numpy", "scikit-learn")


def make_card(
    dataset: Dataset,
    task: LearningTask,
    candidate: Candidate,
    ranking: Ranking,
    settings: Settings,
    evidence: Evidence,
) -> VersionCard:
    """The card of a candidate; leakage suspects are added once it is known which there are."""
    frame, split = task.frame, task.split
    return VersionCard(
        spec=dataset.spec,
        features=frame.features,
        sensor_of=frame.sensor_of,
        head=candidate.head,
        calibration=candidate.calibration,
        importance=ranking.importance,
        allocation=candidate.allocation,
        drift=ranking.drift,
        reports=candidate.reports,
        feature_low=candidate.feature_low,
        feature_high=candidate.feature_high,
        reference=candidate.reference,
        split=split.how,
        rows=len(split.train),
        failures=count_failures(dataset.labels),
        seed=settings.retraining.seed,
        settings_digest=settings.digest,
        created_at=evidence.now,
        trained_until=utc_text(int(frame.cutoff.max())),
        parity=candidate.parity,
        revision=candidate.revision,
        failures_from_verdicts=dataset.failures_from_verdicts,
        ranked=ranking.span,
        software={name: installed(name) for name in SOFTWARE} | {"python": python_version()},
    )
