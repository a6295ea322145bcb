"""Failure modes of a risk: what it is made of, which is likeliest, which sensors speak for each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pm_app.records.readings import Float32, Float64, Text
from pm_app.scoring.abstention import RISK_DIGITS
from pm_app.scoring.contributions import top_sensors_text
from pm_app.scoring.predictor import Predictor

# What speaks for a mode that makes up less of the risk would be noise.
LEAST_SHARE: Final = 0.1


def risks_by_mode(risk: Float64, shares: Float64) -> Float64:
    """Risks of modes as they are shown, (n, n_horizons, n_modes), adding up to the risk.

    risk: (n, n_horizons), to RISK_DIGITS; shares: (n, n_horizons, n_modes), summing to 1. The steps
    of the last digit that rounding down leaves go to the largest remainders (Hamilton), ties to
    the first modes.
    """
    unit = 10**RISK_DIGITS
    whole = np.rint(risk * unit)
    exact = whole[..., None] * _shown(shares)
    steps = np.floor(exact)
    left = whole - steps.sum(axis=-1)
    order = np.argsort(steps - exact, axis=-1, kind="stable")
    steps += np.argsort(order, axis=-1) < left[..., None]
    return np.asarray(steps / unit)


def likeliest(shares: Float64) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    """The place of the likeliest mode, (n, n_horizons); the first of several."""
    return np.asarray(_shown(shares).argmax(axis=-1))


def mode_risks_text(risks: Float64, modes: Sequence[str]) -> Text:
    """JSON of risks by mode, (..., n_modes) to (...)."""
    # A JSON writer takes twice as long or more, and a backfill writes millions.
    names = [json.dumps(mode, ensure_ascii=False).replace("%", "%%") for mode in modes]
    form = f"{{{', '.join(f'{name}: %r' for name in names)}}}"
    texts = [form % tuple(row) for row in risks.reshape(-1, len(modes)).tolist()]
    return _texts(texts).reshape(risks.shape[:-1])


def mode_sensors_text(
    added: Float64, shares: Float64, *, modes: Sequence[str], sensors: Sequence[str]
) -> Text:
    """JSON of the sensors that speak for each mode, worded as `top_sensors_text`, (n,).

    added: what each sensor adds to the signal of each mode, (n, n_sensors, n_modes). shares:
    (n, n_modes); modes with less than LEAST_SHARE are left out, and those that nothing speaks for.
    """
    words = [top_sensors_text(added[:, :, at], sensors) for at in range(len(modes))]
    enough = _shown(shares) >= LEAST_SHARE
    rows = [
        {mode: text for mode, text, named in zip(modes, each, row, strict=True) if named and text}
        for each, row in zip(zip(*words, strict=True), enough.tolist(), strict=True)
    ]
    return _texts([json.dumps(row, ensure_ascii=False) for row in rows])


@dataclass(frozen=True, eq=False)
class SignalsByMode:
    """What contributions explain of a version with modes: the whole risk, then that of each."""

    predictor: Predictor

    def signal(self, values: Float32) -> Float64:
        """(n, n_features) to (n, 1 + n_modes)."""
        return self.predictor.signals(values)


def _shown(shares: Float64) -> Float64:
    """Shares as they are shown, for their last digits depend on what is scored together."""
    rounded = np.round(shares, RISK_DIGITS)
    return np.asarray(rounded / rounded.sum(axis=-1, keepdims=True))


def _texts(texts: list[str]) -> Text:
    result = np.empty(len(texts), dtype=object)
    result[:] = texts
    return result
