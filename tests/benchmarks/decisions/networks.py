"""The product's own network as a challenger: trained, calibrated, refitted on all but the test.

Its size, penalty and rate are fixed, not searched for: the gate is asked, not the network.
"""

from dataclasses import replace

import numpy as np
from benchmarks.decisions.gates import shuffle_labels

from pm_app.learning.dataset import LearningTask
from pm_app.learning.evaluation.calibration import calibrate
from pm_app.learning.network import answers
from pm_app.learning.ranking import planner_of
from pm_app.learning.training.fit import RATE, Training, refit_network, strengthen, train_network
from pm_app.records.learning import Importance
from pm_app.records.scores import scores_of
from pm_app.settings.plant import Settings

SIZE = 3_000
L1, DROPOUT = 1e-3, 0.1


def network(study: LearningTask, seed: int, shuffled: bool) -> np.ndarray:
    """Risks at the longest horizon by the network; it sees no test row."""
    split, sensors = study.split, study.frame.sensors
    labels = shuffle_labels(study.labels, split.learned, seed) if shuffled else study.labels
    alike = (1 / len(sensors),) * len(sensors)
    own = tuple((sensor,) for sensor in sensors)
    importance = Importance(sensors, alike, alike, (alike,), own, alike, (), "none", 0.0)
    plan = planner_of(study, importance, Settings()).plan("uniform", size=SIZE)
    plan = strengthen(plan, study.frame.sensor_of, l1=L1, dropout=DROPOUT)
    what, training = replace(study, labels=labels), Training(plan, RATE, seed)
    trained = train_network(what, training)
    whole = refit_network(what, training, rows=split.learned, like=trained).network
    asked = split.calibration
    output = answers(trained.network, study.frame.values[asked])
    found = calibrate(output, labels, asked, study.head, group=split.group[asked])
    said = answers(whole, study.frame.values[split.test])
    return scores_of(said, study.head, found).risk[:, -1]
