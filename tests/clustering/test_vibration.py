"""Vibration: statistics of signals that are known, scores that obey their laws, and a grid that can be repeated."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.io import savemat
from sklearn.cluster import KMeans
from sklearn.metrics import v_measure_score
from sklearn.preprocessing import StandardScaler

from gmmlab.clustering import vibration
from gmmlab.clustering.vibration import ALGORITHMS, FS, MACHINES, STATISTICS, features, majority, simulate, spectrum
from gmmlab.errors import BadData

NAMES = tuple(STATISTICS)


@pytest.fixture(scope="module")
def bearing():
    return simulate("bearing", 0, windows=5, loads=2, seconds=0.25)


def sine(amplitude=3.0, cycles=50, n=4000):
    return amplitude * np.sin(2 * np.pi * cycles * np.arange(n) / n)


def test_statistics_of_a_sine():
    found = features(sine()[None], FS, NAMES).iloc[0]
    assert found["std time"] == pytest.approx(3 / np.sqrt(2))
    assert found["rms time"] == pytest.approx(3 / np.sqrt(2))
    assert found["kurtosis time"] == pytest.approx(-1.5)
    assert found["mean time"] == pytest.approx(0, abs=1e-9)
    assert found["mean |x| time"] == pytest.approx(6 / np.pi, rel=1e-3)
    assert found["range time"] == pytest.approx(6, rel=1e-3)
    assert found["crest time"] == pytest.approx(np.sqrt(2), rel=1e-3)


def test_statistics_are_scipys(bearing):
    found = features(bearing.windows, bearing.fs, NAMES, ["time"])
    x = bearing.windows
    np.testing.assert_allclose(found["skewness time"], stats.skew(x, axis=1))
    np.testing.assert_allclose(found["kurtosis time"], stats.kurtosis(x, axis=1))
    np.testing.assert_allclose(found["IQR time"], stats.iqr(x, axis=1))
    np.testing.assert_allclose(found["median time"], np.median(x, axis=1))


@pytest.mark.parametrize("n", [400, 401])
def test_the_spectrum_keeps_the_energy(n):
    x = np.random.default_rng(0).standard_normal((3, n))
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    place = np.arange(n)
    straight = np.array([row - np.polyval(np.polyfit(place, row, 1), place) for row in x])
    energy = ((straight * taper) ** 2).sum(1) / (taper**2).mean()
    np.testing.assert_allclose((spectrum(x) ** 2).sum(1), energy)


def test_a_sine_is_a_line_of_the_spectrum_and_a_trend_is_none():
    x = sine(cycles=50) + 1e-3 * np.arange(4000)
    assert spectrum(x[None])[0].argmax() == 50
    np.testing.assert_allclose(spectrum(5 + 0.1 * np.arange(100.0)[None]), 0, atol=1e-9)


def test_scale_is_seen_by_all_but_shape(bearing):
    one, three = (features(a * bearing.windows, FS, NAMES) for a in (1, 3))
    for name in one.columns:
        shape = name.rsplit(" ", 1)[0] in vibration.GROUPS["shape"]
        np.testing.assert_allclose(three[name], one[name] * (1 if shape else 3), atol=1e-9)


def test_a_signal_that_is_constant_has_no_shape():
    assert features(np.ones((2, 100)), FS)["kurtosis time"].tolist() == [-3, -3]


@pytest.mark.parametrize("seed", range(5))
def test_accuracy_cannot_fall_when_groups_are_parted(seed):
    rng = np.random.default_rng(seed)
    truth, labels = rng.integers(0, 4, 200), rng.integers(0, 5, 200)
    finer = 2 * labels + rng.integers(0, 2, 200)
    assert majority(finer, truth) >= majority(labels, truth)
    assert majority(truth, truth) == 1
    assert majority(np.arange(200), truth) == 1
    assert majority(np.zeros(200, int), truth) == np.bincount(truth).max() / 200


def test_noise_is_wrong():
    truth = np.array(["a", "a", "b", "b"])
    assert majority(np.array([0, -1, 1, 1]), truth) == 0.75
    assert majority(np.full(4, -1), truth) == 0


@pytest.mark.parametrize("kind", list(MACHINES))
def test_machines_can_be_repeated(kind):
    one, other = (simulate(kind, 3, windows=2, loads=2, seconds=0.1) for _ in range(2))
    np.testing.assert_array_equal(one.windows, other.windows)
    assert one.windows.shape == (4 * len(MACHINES[kind]), 1200)
    assert dict(zip(*np.unique(one.condition, return_counts=True), strict=True)) == dict.fromkeys(MACHINES[kind], 4)
    assert not np.array_equal(one.windows, simulate(kind, 4, windows=2, loads=2, seconds=0.1).windows)


@pytest.mark.parametrize(("condition", "per_turn"), [("outer race", 3.58), ("ball", 2.36)])
def test_faults_are_struck_at_their_rate(condition, per_turn):
    machine = MACHINES["bearing"][condition]
    turns = vibration.SHAFT * np.arange(24_000) / FS
    signal = np.abs(machine(turns, np.random.default_rng(0)))
    hits = np.flatnonzero((signal[1:] > signal.max() / 4) & (signal[:-1] <= signal.max() / 4))
    begins = hits[1:][np.diff(hits) > 60]  # each rings for a while
    rate = FS * (len(begins) - 1) / (begins[-1] - begins[0])
    assert rate == pytest.approx(per_turn * vibration.SHAFT, rel=0.01)


def test_a_worse_fault_has_more_kurtosis(bearing):
    mild, grave = (simulate("bearing", 0, windows=3, loads=1, severity=s) for s in (0.5, 2.0))
    faulty = mild.condition != "healthy"
    one, other = (features(s.windows[faulty], FS, ["kurtosis"], ["time"]).mean().item() for s in (mild, grave))
    assert other > one + 0.5


def test_the_grid_is_scikit_learns(bearing):
    table = features(bearing.windows, bearing.fs)
    sets = [("kurtosis time", "std time")]
    found = vibration.grid({"b": table}, {"b": bearing.condition}, feature_sets=sets, extra=(0, 2))
    again = vibration.grid({"b": table}, {"b": bearing.condition}, feature_sets=sets, extra=(0, 2))
    pd.testing.assert_frame_equal(found, again)
    assert len(found) == 2 * len(ALGORITHMS)
    z = StandardScaler().fit_transform(table[list(sets[0])])
    labels = KMeans(6, n_init=10, random_state=0).fit_predict(z)
    row = found.query("algorithm == 'k-means' and extra == 2").iloc[0]
    assert row["accuracy"] == majority(labels, bearing.condition)
    assert row["NMI"] == pytest.approx(v_measure_score(bearing.condition, labels))
    assert row["groups"] == 6
    optics = found.query("algorithm == 'OPTICS'")
    assert optics["accuracy"].nunique() == 1


def test_components_keep_their_share():
    x = np.random.default_rng(0).standard_normal((200, 5)) @ np.diag([1, 1, 1, 1e-3, 1e-3])
    x[:, 3:] += x[:, :2]
    z = vibration.reduced(x, None)
    kept = vibration.reduced(x, 0.95)
    assert kept.shape[1] == 3
    assert kept.var() * 3 >= 0.95 * z.var() * 5
    assert vibration.reduced(x[:, :1], 0.9).shape == (200, 1)


def test_ranks_of_a_table_that_is_known():
    rows = [
        {"data": "a", "features": f"f{i}", "pca": None, "extra": 0, "algorithm": name, "accuracy": value + i / 100}
        for i in range(8)
        for name, value in (("worse", 0.3), ("better", 0.6 + i / 50))
    ]
    found = vibration.ranks(pd.DataFrame(rows))
    assert found.index.tolist() == ["better", "worse"]
    assert found["mean rank"].tolist() == [1, 2]
    assert found["p against the first"].iloc[1] == pytest.approx(2 / 2**8)


def test_sets_of_columns(bearing):
    table = features(bearing.windows, bearing.fs)
    assert len(vibration.singles(table)) == 12
    assert len(vibration.sets(table)) == 12 + 66 + 220


def test_recordings_come_from_files(tmp_path):
    rng = np.random.default_rng(0)
    signal = rng.standard_normal(2500)
    pd.DataFrame({"t": np.arange(2500), "drive end": signal}).to_csv(tmp_path / "healthy.csv", index=False)
    savemat(tmp_path / "ball.mat", {"DE": signal[:, None]})
    one = vibration.from_csv(tmp_path / "healthy.csv", 1000.0, column="drive end")
    two = vibration.from_mat(tmp_path / "ball.mat", 1000.0, name="DE")
    both = vibration.join([one, two])
    assert both.condition.tolist() == ["healthy"] * 2 + ["ball"] * 2
    np.testing.assert_allclose(both.windows[0], signal[:1000])
    with pytest.raises(BadData, match="no variable 'FE'; it has DE"):
        vibration.from_mat(tmp_path / "ball.mat", 1000.0, name="FE")
    with pytest.raises(BadData, match="expected the same"):
        vibration.join([one, vibration.cut(signal, 500.0)])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: simulate("engine"), "expected one of bearing, pump, gearbox"),
        (lambda: simulate(windows=0), "windows=0"),
        (lambda: simulate(seconds=0.01), "seconds=0.01"),
        (lambda: features(np.ones((1, 9)), FS, ["entropy"]), "no statistic 'entropy'"),
        (lambda: features(np.ones((1, 9)), FS, domains=["wavelet"]), "no domain 'wavelet'"),
        (lambda: features(np.full((1, 9), np.nan), FS), "without gaps"),
        (lambda: vibration.cut(np.ones(10), 100.0), "at least one window of 100"),
    ],
    ids=["kind", "windows", "short", "statistic", "domain", "gaps", "cut"],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(BadData, match=message):
        call()
