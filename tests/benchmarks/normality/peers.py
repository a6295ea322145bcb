"""Peers: what people use for normal behaviour today, on the product's own features.

Each takes rows that teach and rows to score, both with missing values filled in by the median and
scaled to mean 0 and deviation 1 of what teaches, and gives a score, higher where more unusual.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor, IsolationForest
from sklearn.linear_model import Ridge

from pm_app.records.features import Frame

MOST_TAUGHT = 4000


@dataclass(frozen=True, eq=False)
class Scaled:
    """Rows that teach and rows to score, (n, n_features); sensor of each feature, its statistic.

    earlier: the row of the same asset before each, for methods that look at more than one.
    """

    taught: np.ndarray
    asked: np.ndarray
    taught_earlier: np.ndarray
    asked_earlier: np.ndarray
    sensor_of: tuple[str, ...]
    features: tuple[str, ...]


Peer = Callable[[Scaled], np.ndarray]
LEVELS = ("mean", "last", "smooth", "above", "change")


def scaled(frame: Frame, teach: np.ndarray, asked: np.ndarray, *, levels: bool) -> Scaled:
    """What peers are given: features of sensors that vary in what teaches."""
    rows = np.flatnonzero(teach)
    groups = {"age", "maintenance", "errors", "inspections", "clock"}
    chosen = [
        number
        for number, (name, sensor) in enumerate(zip(frame.features, frame.sensor_of, strict=True))
        if sensor not in groups
        and (not levels or any(f".{word}" in name[len(sensor) :] for word in LEVELS))
    ]
    values = frame.values[:, chosen].astype(float)
    values[~np.isfinite(values)] = np.nan
    with np.errstate(all="ignore"):
        middle = np.nanmedian(values[rows], axis=0)
        middle = np.where(np.isfinite(middle), middle, 0.0)
        values = np.where(np.isnan(values), middle, values)
        centre, spread = values[rows].mean(axis=0), values[rows].std(axis=0)
    varies = spread > 1e-7 * (1 + np.abs(centre))
    values = (values[:, varies] - centre[varies]) / spread[varies]
    chosen = [number for number, each in zip(chosen, varies, strict=True) if each]
    earlier = np.maximum(np.arange(len(values)) - 1, 0)
    earlier = np.where(frame.asset[earlier] == frame.asset, earlier, np.arange(len(values)))
    if len(rows) > MOST_TAUGHT:
        rows = rows[np.linspace(0, len(rows) - 1, MOST_TAUGHT).round().astype(int)]
    at = np.flatnonzero(asked)
    return Scaled(
        values[rows], values[at], values[earlier[rows]], values[earlier[at]],
        tuple(frame.sensor_of[number] for number in chosen),
        tuple(frame.features[number] for number in chosen),
    )  # fmt: skip


def _t2_and_spe(taught: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Hotelling's T2 and the squared prediction error, each as its upper 99 % limit has it."""
    pca = PCA(n_components=0.9, svd_solver="full").fit(taught)
    parts = []
    for rows in (taught, asked):
        score = pca.transform(rows)
        t2 = (score**2 / np.maximum(pca.explained_variance_, 1e-9)).sum(axis=1)
        spe = ((rows - pca.inverse_transform(score)) ** 2).sum(axis=1)
        parts.append((t2, spe))
    limits = [np.quantile(each, 0.99) + 1e-12 for each in parts[0]]
    return parts[1][0] / limits[0] + parts[1][1] / limits[1]


def pca(data: Scaled) -> np.ndarray:
    """PCA with T2 and SPE (Jackson & Mudholkar 1979), combined by their limits (Yue & Qin 2001)."""
    return _t2_and_spe(data.taught, data.asked)


def dynamic_pca(data: Scaled) -> np.ndarray:
    """The same on rows beside those before them (Ku, Storer & Georgakis 1995)."""
    return _t2_and_spe(
        np.hstack([data.taught, data.taught_earlier]), np.hstack([data.asked, data.asked_earlier])
    )


def mahalanobis(data: Scaled) -> np.ndarray:
    """Mahalanobis distance by a covariance shrunk as Ledoit & Wolf (2004) say."""
    return np.sqrt(LedoitWolf().fit(data.taught).mahalanobis(data.asked))


def _residual_score(data: Scaled, make: Callable[[], object]) -> np.ndarray:
    """Mean squared residual of each sensor's level given the other sensors, in its own spread."""
    total = np.zeros(len(data.asked))
    targets = [n for n, name in enumerate(data.features) if _is_target(name)]
    if len(set(data.sensor_of)) < 2:
        return total
    half = len(data.taught) // 2
    for number in targets:
        others = [n for n, each in enumerate(data.sensor_of) if each != data.sensor_of[number]]
        fitted = make().fit(data.taught[:, others], data.taught[:, number])
        crossed = make().fit(data.taught[:half, others], data.taught[:half, number])
        off = data.taught[half:, number] - crossed.predict(data.taught[half:, others])
        spread = max(float(off.std()), 1e-3)
        total += ((data.asked[:, number] - fitted.predict(data.asked[:, others])) / spread) ** 2
    return np.sqrt(total / max(len(targets), 1))


def _is_target(name: str) -> bool:
    return ".smooth." in name and not name.endswith(".in_regime")


def ridge(data: Scaled) -> np.ndarray:
    """Regression of each sensor on the others by ridge."""
    return _residual_score(data, lambda: Ridge(alpha=10.0))


def boosted_trees(data: Scaled) -> np.ndarray:
    """Regression of each sensor on the others by boosted trees."""
    return _residual_score(
        data, lambda: HistGradientBoostingRegressor(max_iter=30, max_leaf_nodes=15, random_state=0)
    )


def isolation_forest(data: Scaled) -> np.ndarray:
    """Isolation forest (Liu, Ting & Zhou 2008)."""
    forest = IsolationForest(n_estimators=200, random_state=0).fit(data.taught)
    return -forest.score_samples(data.asked)


def masked_autoencoder(data: Scaled) -> np.ndarray:
    """A network in Keras that fills in sensors it is not shown; its error where each is hidden."""
    import keras

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    size = data.taught.shape[1]
    taught = np.clip(data.taught, -5, 5).astype(np.float32)
    sensors = list(dict.fromkeys(data.sensor_of))
    group = np.array([sensors.index(each) for each in data.sensor_of])
    width = int(np.clip(size, 32, 128))
    model = keras.Sequential([
        keras.layers.Input((2 * size,)),
        keras.layers.Dense(width, activation="gelu"),
        keras.layers.Dense(max(width // 4, 8), activation="gelu"),
        keras.layers.Dense(width, activation="gelu"),
        keras.layers.Dense(size),
    ])  # fmt: skip
    model.compile(keras.optimizers.Adam(2e-3), "mse")
    for _ in range(8):
        hidden = (rng.random((len(taught), len(sensors))) < 0.25)[:, group]
        shown = np.where(hidden, 0.0, taught)
        inputs = np.hstack([shown, hidden.astype(np.float32)])
        model.fit(inputs, taught, batch_size=256, epochs=3, verbose=0)
    asked = np.clip(data.asked, -20, 20).astype(np.float32)
    total = {"taught": np.zeros(len(taught)), "asked": np.zeros(len(asked))}
    parts = np.array_split(rng.permutation(len(sensors)), min(4, len(sensors)))
    for part in parts:
        hidden = np.isin(group, part)
        for name, rows in (("taught", taught), ("asked", asked)):
            shown = np.where(hidden, 0.0, rows)
            mask = np.broadcast_to(hidden.astype(np.float32), rows.shape)
            guess = model.predict(np.hstack([shown, mask]), batch_size=4096, verbose=0)
            total[name] += ((rows - guess)[:, hidden] ** 2).sum(axis=1)
    return np.sqrt(total["asked"] / size)


PEERS: dict[str, Peer] = {
    "PCA, T2 and SPE": pca,
    "dynamic PCA": dynamic_pca,
    "Mahalanobis, shrunk": mahalanobis,
    "each sensor by ridge": ridge,
    "each sensor by boosted trees": boosted_trees,
    "isolation forest": isolation_forest,
    "masked autoencoder": masked_autoencoder,
}


def rank_auc(score: np.ndarray, unusual: np.ndarray, usual: np.ndarray) -> float:
    """ROC-AUC of a score for unusual rows against usual ones."""
    both = np.concatenate([score[unusual], score[usual]])
    ranks = stats.rankdata(both)
    count, rest = int(unusual.sum()), int(usual.sum())
    return float((ranks[:count].sum() - count * (count + 1) / 2) / (count * rest))
