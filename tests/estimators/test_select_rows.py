"""`select` on rows that lack entries, come in a stream or in folds, and its test of one component more."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

import gmmlab
from gmmlab import GaussianMixture
from gmmlab.errors import BadData
from gmmlab.estimators import parameters as sk
from gmmlab.estimators import ratio, sample, search
from gmmlab.estimators.select import select, selecting
from gmmlab.fit import run, whole
from gmmlab.init import by_hierarchy, from_responsibilities
from gmmlab.score import criteria

KINDS = ("full", "tied", "diag", "EEV")


def geyser() -> np.ndarray:
    return gmmlab.faithful().to_numpy()


def with_gaps(x: np.ndarray, share: float = 0.2) -> np.ndarray:
    """One entry at most is missing in each row."""
    rng = np.random.default_rng(1)
    x = x.copy()
    rows = rng.random(len(x)) < share
    x[rows, rng.integers(x.shape[1], size=len(x))[rows]] = math.nan
    return x


def cell(table: pd.DataFrame, kind: str, k: int) -> pd.Series:
    return table[(table.covariance_type == kind) & (table.n_components == k)].iloc[0]


# -- folds ---------------------------------------------------------------------------------------------------------


def by_a_loop(x: Tensor, label: np.ndarray, weight: Tensor, kind: str, k: int) -> float:
    """-2 times the log-likelihood of what each fold holds, from three steps on the others alone."""
    held = 0.0
    for fold in np.unique(label):
        inside = torch.from_numpy(label == fold)
        train, own = x[~inside], weight[~inside]
        part = by_hierarchy(train, [k], torch.Generator())[0]
        model = from_responsibilities(train, part, sk.structure(kind), weight=own)
        for step in run(model, whole(train, own), stop=lambda step: step.i >= 3):
            model = step.model
        held += float(weight[inside] @ model.log_prob(x[inside]))
    return -2 * held


@pytest.mark.parametrize("weighted", [False, True])
def test_folds_are_those_of_an_explicit_loop(weighted):
    x = geyser()
    label = np.random.default_rng(0).integers(3, size=len(x)) * 10
    weight = 1.0 + np.arange(len(x)) % 2 if weighted else np.ones(len(x))
    options: dict[str, Any] = {"criterion": "cv", "cv": label, "tol": 0.0, "max_iter": 3, "sample_weight": weight}
    table = select(x, [2, 3], KINDS, **options).table_
    for kind in KINDS:
        for k in (2, 3):
            expected = by_a_loop(torch.from_numpy(x), label, torch.from_numpy(weight), kind, k)
            assert cell(table, kind, k).cv == pytest.approx(expected, rel=1e-8)


def test_cross_validation_leaves_the_fits_of_all_rows_as_they_are():
    x = gmmlab.faithful()
    plain = select(x, [1, 2, 3], KINDS).table_
    crossed = select(x, [1, 2, 3], KINDS, criterion="cv", cv=3, random_state=0)
    np.testing.assert_allclose(crossed.table_.bic, plain.bic, atol=0.02)  # another set is polished
    assert "cv" not in plain and (crossed.table_.cv > crossed.table_.aic - 20).all()
    first = crossed.ranking().iloc[0]
    assert first.cv == crossed.table_.cv.min() and crossed.best_.n_components == first.n_components
    assert len(crossed.near_ties()) >= 1 and crossed.plot().alt.startswith("CV of")


def test_folds_follow_the_seed():
    one, two, other = (
        select(geyser(), 2, "full", criterion="cv", cv=4, random_state=seed).table_.cv[0] for seed in (0, 0, 1)
    )
    assert one == two != other


def test_a_cell_that_is_singular_without_a_fold_is_infinite():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(40, 2)), 50 + rng.normal(size=(6, 2))])
    label = np.arange(len(x)) % 2
    label[-6:] = [0, 0, 0, 0, 1, 1]  # two of the six are left without fold 0
    selection = select(x, [1, 2], "full", criterion="cv", cv=label, init_params="kmeans", random_state=0)
    assert math.isinf(cell(selection.table_, "full", 2).cv) and not selection.table_.refused.any()
    assert selection.best_.n_components == 1
    with pytest.raises(BadData, match="outside fold 0"):
        select(x[:6], 4, "full", criterion="cv", cv=[0, 0, 0, 1, 1, 1])


def test_a_table_without_folds_says_so():
    with pytest.raises(ValueError, match="criterion='cv'"):
        select(gmmlab.faithful(), 1, "full").ranking("cv")


def test_an_interrupt_leaves_folds_that_had_not_finished_unknown(monkeypatch):
    climb, seen = search.climb, []

    def stopped(*args: Any, **options: Any) -> Iterator[Any]:
        for finished in climb(*args, **options):
            seen.extend(finished)
            yield finished
            if len(seen) >= 8:
                raise KeyboardInterrupt

    monkeypatch.setattr(search, "climb", stopped)
    with pytest.warns(match="Interrupted"):
        selection = select(gmmlab.faithful(), range(1, 4), ["full", "tied"], criterion="cv", cv=3)
    assert selection.table_.cv.isna().any()
    assert selection.best_.n_components in (1, 2, 3)


def test_progress_counts_the_fits_of_folds():
    *_, (_, last) = selecting(gmmlab.faithful(), [1, 2], ["full", "tied"], criterion="cv", cv=2)
    assert last.finished == last.total == 2 * 2 * 3


# -- criteria ------------------------------------------------------------------------------------------------------


def test_criteria_are_those_of_the_model():
    x = gmmlab.faithful()
    selection = select(x, [1, 3], ["full", "tied"])
    for kind in ("full", "tied"):
        model, row = selection.model(kind, 3), cell(selection.table_, kind, 3)
        entropy = criteria.entropy(torch.from_numpy(model.predict_proba(x)))
        one = selection.model(kind, 1).score(x)
        assert row.icl == pytest.approx(model.icl(x), abs=1e-6)
        assert row.icl_soft == pytest.approx(model.bic(x) + 2 * entropy, abs=1e-6)
        assert row.nec == pytest.approx(entropy / len(x) / (model.score(x) - one), rel=1e-8)
        each = (model.mixture_.n_parameters - 2) / 3
        assert row.mml == pytest.approx(criteria.mml(row.loglik, model.mixture_.weights, len(x), each), abs=1e-6)
        assert cell(selection.table_, kind, 1).nec == 1
    assert select(x, [2, 3], "full").table_.nec.isna().all()  # nothing to compare with


# -- starts --------------------------------------------------------------------------------------------------------


def test_several_starts_are_no_worse_than_each():
    x, names = geyser(), ("hierarchical", "ward")
    each = [select(x, [2, 3], KINDS, init_params=name, tol=1e-8).table_.loglik for name in names]
    both = select(x, [2, 3], KINDS, init_params=names, tol=1e-8).table_.loglik
    np.testing.assert_allclose(both, np.max(each, axis=0), rtol=0, atol=1e-3)
    assert np.ptp(each, axis=0).max() > 0.1  # they end in different optima


def test_rows_of_weight_zero_are_not_there():
    x = geyser()
    weight = (np.arange(len(x)) % 5 > 0).astype(float)
    some = select(x, [2, 3], KINDS, sample_weight=weight).table_
    pd.testing.assert_frame_equal(some, select(x[weight > 0], [2, 3], KINDS).table_, rtol=1e-6)


# -- gaps and streams ----------------------------------------------------------------------------------------------


def test_rows_with_gaps_end_where_fits_alone_end():
    x = with_gaps(geyser())
    kinds = ("full", "tied", "VVE", "diag")
    selection = select(x, [1, 2], kinds, tol=1e-8)
    for kind in kinds:
        for k in (1, 2):
            start = {"covariance_type": kind, "init_params": "hierarchical", "reg_covar": 0.0, "tol": 1e-11}
            alone = GaussianMixture(k, max_iter=5000, **start).fit(x)
            row = cell(selection.table_, kind, k)
            assert row.loglik / len(x) == pytest.approx(alone.score(x), abs=1e-6)
            assert row.bic == pytest.approx(selection.model(kind, k).bic(x), abs=1e-6)
            assert row.icl == pytest.approx(selection.model(kind, k).icl(x), abs=1e-6)
    assert len(selection.combine().merges) == selection.best_.n_components - 1


def test_rows_without_any_entry_do_not_count():
    x = with_gaps(geyser())
    empty = np.concatenate([x, np.full((3, 2), math.nan)])
    with pytest.warns(match="3 of 275 rows have no entry"):
        found = select(empty, [1, 2], "full", criterion="cv", cv=np.arange(275) % 2)
    expected = select(x, [1, 2], "full", criterion="cv", cv=np.arange(272) % 2)
    pd.testing.assert_frame_equal(found.table_, expected.table_)
    with pytest.raises(BadData, match="no entry"):
        select(np.c_[x, np.full(len(x), math.nan)], 1)


def test_folds_of_rows_with_gaps():
    x = with_gaps(geyser())
    label = np.random.default_rng(2).integers(2, size=len(x))
    selection = select(x, 2, "full", criterion="cv", cv=label, tol=1e-8)
    options = {"init_params": "hierarchical", "reg_covar": 0.0, "tol": 1e-10, "max_iter": 5000}
    fits = [GaussianMixture(2, **options).fit(x[label != fold]) for fold in (0, 1)]
    held = sum(float(fit.score_samples(x[label == fold]).sum()) for fold, fit in enumerate(fits))
    assert selection.table_.cv[0] == pytest.approx(-2 * held, abs=0.01)


def test_a_stream_is_its_rows():
    x = geyser()
    chunks = gmmlab.stream([x[:100], x[100:250], x[250:]])
    streamed = select(chunks, [1, 2, 3], ["full", "tied", "VVE"])
    pd.testing.assert_frame_equal(streamed.table_, select(x, [1, 2, 3], ["full", "tied", "VVE"]).table_, rtol=1e-7)
    assert streamed.best_.bic(x) == pytest.approx(streamed.table_.bic.min())


def test_a_stream_begins_from_a_sample_and_counts_all_rows(monkeypatch):
    monkeypatch.setattr(sample, "FROM_STREAM", 60)
    x = np.tile(geyser(), (3, 1))
    chunks = gmmlab.stream([x[:400], x[400:]])
    selection = select(chunks, [1, 2], ["full", "tied"], tol=1e-8, random_state=0)
    expected = select(x, [1, 2], ["full", "tied"], tol=1e-8)
    np.testing.assert_allclose(selection.table_.bic, expected.table_.bic, rtol=1e-8)
    assert selection.n == len(x) and selection.combine() is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [({"criterion": "cv"}, "folds"), ({"sample_weight": np.ones(272)}, "Chunk"), ({"n_components": 300}, "300")],
)
def test_what_a_stream_cannot_do_is_said(options, message):
    with pytest.raises(BadData, match=message):
        select(gmmlab.stream([geyser()]), **options)


def test_a_stream_that_comes_once_is_refused():
    with pytest.raises(BadData, match="only once"):
        select(gmmlab.stream(iter([geyser()])), 2, "full")
    with pytest.raises(BadData, match="stream"):
        select(gmmlab.stream([geyser()]), [1, 2], "full").bootstrap_test(draws=1)


# -- one component more --------------------------------------------------------------------------------------------


def clouds(n: int = 100) -> np.ndarray:
    """Two round clouds."""
    return np.random.default_rng(0).normal(size=(n, 2)) + 5.0 * (np.arange(n) % 2)[:, None]


def test_the_bootstrap_finds_two_clouds():
    selection = select(clouds(), range(1, 5), "spherical", init_params="ward")
    found = selection.bootstrap_test(draws=19, random_state=0)
    assert list(found.n_components) == [1, 2] and list(found.against) == [2, 3]
    assert found.p_value[0] == 0.05 and found.p_value[1] > 0.05  # the least that 19 samples can give; then it stops
    assert (found.draws == 19).all() and (found.failed == 0).all()
    loglik = selection.table_.set_index("n_components").loglik
    assert found.statistic[0] == pytest.approx(2 * (loglik[2] - loglik[1]), abs=0.1)  # to the ends of both


def test_the_larger_model_never_ends_below_the_smaller_one():
    """From the tree alone it would in a fifth of these samples."""
    selection = select(gmmlab.faithful(), [3, 4], "EEE")
    assert selection.bootstrap_test(n_components=3, draws=14, random_state=1).stuck[0] == 0


def test_samples_that_climb_together_are_those_that_climb_alone(monkeypatch):
    selection = select(clouds(), [1, 2], ["EEE"], init_params="ward")
    together = selection.bootstrap_test(n_components=1, draws=6, random_state=3)
    before = ratio.Fits.of_samples
    sizes = []

    def seen(self: ratio.Fits, samples: Tensor) -> Tensor:
        sizes.append(len(samples))
        return before(self, samples)

    monkeypatch.setattr(ratio.Fits, "of_samples", seen)
    monkeypatch.setattr(ratio, "TOGETHER", 250)
    alone = selection.bootstrap_test(n_components=1, draws=6, random_state=3)
    pd.testing.assert_frame_equal(together, alone)
    assert sizes == [2, 2, 2]


def test_samples_that_climb_together_have_the_likelihoods_of_fits_alone():
    selection = select(clouds(), [1, 2], ["VVV"], init_params="ward")
    cells = tuple(search.Cell("VVV", sk.structure("VVV"), k) for k in (1, 2))
    fits = ratio.Fits(cells, selection.asked.starting, selection.asked.budget, 0.0, torch.Generator())
    rng = torch.Generator().manual_seed(0)
    samples = torch.stack([selection.model("VVV", 2).mixture_.sample(150, rng)[0] for _ in range(3)])
    for rows, both in zip(samples, fits.of_samples(samples), strict=True):
        for k, value in zip((1, 2), both.tolist(), strict=True):
            alone = GaussianMixture(k, init_params="ward", reg_covar=0.0, tol=1e-10, max_iter=5000).fit(rows)
            assert value == pytest.approx(len(rows) * alone.score(rows), abs=1e-4)


def test_the_bootstrap_of_rows_with_gaps_and_of_rows_that_count_twice():
    few, draw = clouds(80), {"draws": 2, "random_state": 0}
    gapped = select(with_gaps(few), [1, 2], "full", init_params="ward").bootstrap_test(**draw)
    assert gapped.p_value[0] == pytest.approx(1 / 3) and gapped.failed[0] == 0
    weight = np.full(80, 2.0)
    twice = select(few, [1, 2], "full", sample_weight=weight, init_params="ward").bootstrap_test(**draw)
    once = select(few, [1, 2], "full", init_params="ward").bootstrap_test(**draw)
    assert twice.statistic[0] == pytest.approx(2 * once.statistic[0], rel=1e-6)


def test_an_interrupt_leaves_the_samples_that_there_were(monkeypatch):
    selection = select(clouds(), range(1, 4), ["EEE"], init_params="ward")
    monkeypatch.setattr(ratio, "TOGETHER", 1)
    in_turn = ratio.in_turn

    def stopped(*args: Any) -> Iterator[Any]:
        for i, found in enumerate(in_turn(*args)):
            if i == 12:
                raise KeyboardInterrupt
            yield found

    monkeypatch.setattr(ratio, "in_turn", stopped)
    with pytest.warns(match="Interrupted"):
        found = selection.bootstrap_test(draws=9, level=0.1, random_state=0)
    assert list(found.draws) == [9, 3]


def test_what_cannot_be_tested_is_said():
    flat = np.c_[np.arange(20.0), np.arange(20.0)]
    with pytest.warns(match="No test of full"):
        assert len(select(flat, [1, 2], "full").bootstrap_test("full", draws=1)) == 0
    selection = select(gmmlab.faithful(), [1, 3], "full")
    with pytest.raises(ValueError, match="two numbers in a row"):
        selection.bootstrap_test()
    with pytest.raises(ValueError, match="draws=0"):
        selection.bootstrap_test(n_components=1, draws=0)
    with pytest.raises(ValueError, match="VVX"):
        selection.bootstrap_test("VVX")
