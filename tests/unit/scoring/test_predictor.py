import numpy as np
import pytest
from factories import make_graph

from pm_app.records.learning import Calibration, Head
from pm_app.scoring.predictor import CHUNK_ROWS, Predictor

FEATURES = ("heat", "load", "age", "flow")
HEAD = Head("hazard", (12.0, 24.0, 72.0), (24.0, 72.0))


def make_predictor(attends=3):
    return Predictor(
        make_graph(len(FEATURES), edges=3, attends=attends),
        head=HEAD,
        calibration=Calibration((1.0, 1.0), (0.0, 0.0), 1.0, 1.0),
        features=FEATURES,
    )


def make_rows(rows):
    values = np.random.default_rng(0).normal(50, 20, (rows, len(FEATURES))).astype(np.float32)
    values[::7, 1] = np.nan
    return values


def test_attention_is_a_share_of_every_sensor():
    _, attention = make_predictor().predict_attending(make_rows(50))

    assert attention.shape == (50, 3)
    assert (attention > 0).all()
    assert attention.sum(axis=1) == pytest.approx(np.ones(50), abs=1e-6)
    assert np.ptp(attention[:, 0]) > 0.1


def test_a_version_without_a_gate_has_no_attention():
    predictor = make_predictor(attends=0)
    scores, attention = predictor.predict_attending(make_rows(5))

    assert attention is None
    assert np.array_equal(scores.risk, predictor.predict(make_rows(5)).risk)


@pytest.mark.parametrize("rows", [0, 1, 50, CHUNK_ROWS + 1])
def test_one_run_gives_scores_and_attention(rows):
    predictor, values = make_predictor(), make_rows(rows)
    scores, attention = predictor.predict_attending(values)

    assert attention.shape == (rows, 3)
    assert np.array_equal(scores.risk, predictor.predict(values).risk)


def test_a_row_alone_is_looked_at_as_among_others():
    predictor, values = make_predictor(), make_rows(20)
    rows = [predictor.predict_attending(values[at : at + 1])[1] for at in range(20)]

    assert np.array_equal(np.vstack(rows), predictor.predict_attending(values)[1])


def test_what_looking_adds_changes_no_score():
    values = make_rows(20)

    gated, plain = (make_predictor(attends).predict(values) for attends in (3, 0))
    assert np.array_equal(gated.risk, plain.risk)
