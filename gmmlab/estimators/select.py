"""`gmmlab.select`: which covariance type, and how many components?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from sklearn.exceptions import ConvergenceWarning

from gmmlab.axes import Float, Tensor
from gmmlab.data import as_rows
from gmmlab.errors import BadData, warn
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.fitting import Budget, Fit
from gmmlab.estimators.gaussian_mixture import GaussianMixture
from gmmlab.estimators.sample import generator
from gmmlab.estimators.search import Cell, Data, Fitted, Progress, search
from gmmlab.extras import needs
from gmmlab.init import RESPONSIBILITIES, by_hierarchy
from gmmlab.score import criteria
from gmmlab.score.merging import MergeTree, combine

if TYPE_CHECKING:
    from pandas import DataFrame

    from gmmlab.plot import Picture

CRITERIA = ("bic", "icl", "aic", "aicc")


def select(
    X: Any,
    n_components: int | Iterable[int] = range(1, 10),
    covariance_types: str | Sequence[str] = "all",
    *,
    criterion: str = "bic",
    sample_weight: Any = None,
    init_params: str = "hierarchical",
    n_init: int = 1,
    reg_covar: float = 0.0,
    tol: float = 1e-5,
    max_iter: int = 1000,
    random_state: Any = None,
    verbose: int = 0,
) -> Selection:
    """Fit every covariance type with every number of components, in one batch, and rank them.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Rows.
    n_components : int or iterable of int, default=1 to 9
        Numbers of components to try.
    covariance_types : str or sequence of str, default="all"
        Names as `GaussianMixture` takes them; "all" stands for the fourteen of mclust (two for one column).
    criterion : {"bic", "icl", "aic", "aicc"}, default="bic"
        What ranks the models, in scikit-learn's sign: lower is better.
    sample_weight : array-like of shape (n,) or None
        How many times each row counts.
    init_params : str, default="hierarchical"
        The start, as `GaussianMixture` takes it; the same partitions serve all covariance types.
    n_init : int, default=1
        Starts for each number of components, of which each cell keeps the best; more than one helps random starts only.
    reg_covar : float, default=0.0
        Added to all variances. Zero as in mclust: a model that turns singular is refused, not mended.
    tol : float, default=1e-5
        A fit ends when the mean log-likelihood changes by less than this; those that could win go on to a thousandth.
    max_iter : int, default=1000
        Steps at most.
    random_state : int, RandomState instance or None
        Seed of random starts.
    verbose : int, default=0
        1 prints how many fits have finished, with an estimate of the time left.

    Returns
    -------
    Selection
        `best_`, `table_`, `ranking()`, `near_ties()`, `refused()`, `plot()`. An interrupt (the notebook's stop button)
        returns what there is so far, with a warning.

    Examples
    --------
    >>> import gmmlab
    >>> found = gmmlab.select(gmmlab.faithful(), range(1, 4), ["full", "tied"])
    >>> found.best_.covariance_type, found.best_.n_components
    ('tied', 3)
    """
    steps = selecting(
        X,
        n_components,
        covariance_types,
        criterion=criterion,
        sample_weight=sample_weight,
        init_params=init_params,
        n_init=n_init,
        reg_covar=reg_covar,
        tol=tol,
        max_iter=max_iter,
        random_state=random_state,
    )
    result, shown = None, 0.0
    try:
        for found, progress in steps:
            result = found
            if verbose and progress.seconds > shown + 1:
                shown = progress.seconds
                print(f"  {progress.finished} of {progress.total} fits, about {progress.remaining:.0f} s left")
    except KeyboardInterrupt:
        if result is None:
            raise
        warn("Interrupted: the selection holds the fits that had finished.", ConvergenceWarning)
    assert result is not None  # there is at least one cell
    return result


def selecting(
    X: Any,
    n_components: int | Iterable[int] = range(1, 10),
    covariance_types: str | Sequence[str] = "all",
    *,
    criterion: str = "bic",
    sample_weight: Any = None,
    init_params: str = "hierarchical",
    n_init: int = 1,
    reg_covar: float = 0.0,
    tol: float = 1e-5,
    max_iter: int = 1000,
    random_state: Any = None,
) -> Iterator[tuple[Selection, Progress]]:
    """`select` step by step: what there is so far, and how far the search is. The last pair is the result."""
    rows = as_rows(X, min_rows=2)
    if criterion not in CRITERIA:
        raise ValueError(f"criterion is {criterion!r}; expected one of {', '.join(map(repr, CRITERIA))}.")
    ks = _numbers(n_components, len(torch.unique(rows.x, dim=0)))
    cells = [Cell(name, sk.structure(name), k) for name in _names(covariance_types, rows.x.shape[1]) for k in ks]
    weight = None if sample_weight is None else sk.check_sample_weight(sample_weight, rows.x)
    rng = generator(random_state, rows.x.device)
    partitions = _partitions(rows.x, ks, init_params, int(n_init), rng)
    result = Selection(X, rows.x, weight, criterion, float(reg_covar))
    data, budget = Data(rows.x, weight, float(reg_covar)), Budget(float(tol), int(max_iter))
    for progress in search(data, cells, partitions, result.value, budget):
        yield result.having(progress), progress


class Selection:
    """What a search found: a table of cells, their ranking, and the model of each.

    Attributes
    ----------
    best_ : GaussianMixture
        The model of the cell that ranks first, fitted.
    table_ : DataFrame
        One row for each covariance type and number of components: `bic`, `icl`, `aic`, `aicc` (lower is better),
        `loglik` (total), `n_parameters`, `smallest` (rows of the smallest component), `n_iter`, `converged`, and
        `refused`, the reason why a cell has no model.
    """

    def __init__(self, X: Any, x: Tensor, weight: Tensor | None, criterion: str, reg_covar: float) -> None:
        self.criterion = criterion
        self.n = float(len(x) if weight is None else weight.sum())
        self._X, self._x, self._weight, self._reg_covar = X, x, weight, reg_covar
        self._progress: Progress | None = None

    def having(self, progress: Progress) -> Selection:
        """The same selection with the fits of a search that has come further."""
        other = Selection(self._X, self._x, self._weight, self.criterion, self._reg_covar)
        other._progress = progress
        return other

    @cached_property
    def fitted(self) -> list[Fitted]:
        """The best fit of every cell, in the order of the search."""
        return [] if self._progress is None else self._progress.fitted()

    def value(self, one: Fitted, criterion: str | None = None) -> float:
        """A criterion of a cell; infinite where it has no model."""
        if one.model is None:
            return math.inf
        match criterion or self.criterion:
            case "icl":
                return criteria.icl(one.loglik, one.n_parameters, self.n, one.doubt)
            case "aic":
                return criteria.aic(one.loglik, one.n_parameters)
            case "aicc":
                return criteria.aicc(one.loglik, one.n_parameters, self.n)
            case _:
                return criteria.bic(one.loglik, one.n_parameters, self.n)

    @cached_property
    def table_(self) -> DataFrame:
        """All cells, in the order of the search."""
        rows = [
            {
                "covariance_type": one.cell.covariance_type,
                "n_components": one.cell.k,
                **{name: self.value(one, name) if one.model else math.nan for name in CRITERIA},
                "loglik": one.loglik if one.model else math.nan,
                "n_parameters": one.n_parameters if one.model else None,
                "smallest": one.smallest if one.model else math.nan,
                "n_iter": len(one.trace),
                "converged": one.converged,
                "refused": one.refused,
            }
            for one in self.fitted
        ]
        return needs("pandas").DataFrame(rows).astype({"n_parameters": "Int64"})

    def ranking(self, criterion: str | None = None) -> DataFrame:
        """The cells that have a model, best first."""
        table = self.table_[self.table_.refused == ""]
        return table.sort_values(criterion or self.criterion, kind="stable", ignore_index=True)

    def near_ties(self, within: float = 2.0) -> DataFrame:
        """The cells whose criterion is at most `within` above the best: differences of less than 2 mean little.

        See Kass and Raftery (1995), section 3.2.
        """
        ranking = self.ranking()
        return ranking[ranking[self.criterion] <= ranking[self.criterion].min() + within]

    def refused(self) -> DataFrame:
        """The cells without a model, and why."""
        return self.table_.loc[self.table_.refused != "", ["covariance_type", "n_components", "refused"]]

    @cached_property
    def best_(self) -> GaussianMixture:
        """The model that ranks first, as an estimator."""
        sound = [one for one in self.fitted if one.model is not None]
        if not sound:
            raise ValueError(
                "Every model was refused, so there is no best one; see `refused()`. Fewer components, simpler "
                "covariance types, or reg_covar > 0 would help."
            )
        return self._estimator(min(sound, key=self.value))

    def model(self, covariance_type: str, n_components: int) -> GaussianMixture:
        """The model of one cell, as an estimator. Raises `KeyError` for a cell that was not fitted or was refused."""
        for one in self.fitted:
            if one.cell.covariance_type == covariance_type and one.cell.k == n_components:
                if one.model is None:
                    raise KeyError(f"({covariance_type}, {n_components}) was refused: {one.refused}.")
                return self._estimator(one)
        raise KeyError(f"({covariance_type}, {n_components}) is not in the table.")

    def combine(self) -> MergeTree:
        """Which components of the best model form one cluster, by entropy; see `gmmlab.score.merging`."""
        return combine(torch.as_tensor(self.best_.predict_proba(self._X)), self._weight)

    def plot(self, criterion: str | None = None, **options: Any) -> Picture:
        """The map of all cells: a line for each covariance type over the number of components."""
        from gmmlab.plot import Scores, selection_map

        name = criterion or self.criterion
        grid = self.table_.pivot_table(
            index="covariance_type", columns="n_components", values=name, sort=False, dropna=False
        )
        scores = Scores(list(grid.index), [int(k) for k in grid.columns], grid.to_numpy(float))
        return selection_map(scores, criterion=name.upper(), **options)

    def _estimator(self, one: Fitted) -> GaussianMixture:
        assert one.model is not None
        model = GaussianMixture(one.cell.k, covariance_type=one.cell.covariance_type, reg_covar=self._reg_covar)
        model._store(Fit(one.model, one.trace, one.converged), self._X, self.n)
        return model

    def __repr__(self) -> str:
        if not self.fitted:
            return "Selection(nothing fitted yet)"
        best = min(self.fitted, key=self.value)
        refused = sum(one.model is None for one in self.fitted)
        return (
            f"Selection(best: {best.cell.covariance_type} with {best.cell.k} components, {self.criterion} "
            f"{self.value(best):.3f}; {len(self.fitted)} cells, {refused} refused)"
        )

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>" + self.ranking().head(5).to_html(index=False, na_rep="")


def _numbers(n_components: int | Iterable[int], distinct: int) -> list[int]:
    ks = [n_components] if isinstance(n_components, int) else sorted({int(k) for k in n_components})
    if not ks or ks[0] < 1:
        raise ValueError(
            f"n_components is {n_components!r}; expected whole numbers of at least 1, such as range(1, 10)."
        )
    if ks[-1] > distinct:
        raise BadData(
            f"n_components goes up to {ks[-1]}, but only {distinct} rows are distinct. Try range(1, {distinct + 1})."
        )
    return ks


def _partitions(
    x: Float[Tensor, "n d"], ks: list[int], init_params: str, n_init: int, rng: torch.Generator
) -> dict[int, list[Float[Tensor, "n _"]]]:
    """Where the fits of each number of components start; one tree serves all of them."""
    if init_params == "hierarchical":
        return {k: [part] for k, part in zip(ks, by_hierarchy(x, ks, rng), strict=True)}
    if init_params not in RESPONSIBILITIES:
        raise ValueError(f"init_params is {init_params!r}; expected one of {', '.join(map(repr, RESPONSIBILITIES))}.")
    return {k: [RESPONSIBILITIES[init_params](x, k, rng) for _ in range(n_init)] for k in ks}


def _names(covariance_types: str | Sequence[str], d: int) -> list[str]:
    if covariance_types == "all":
        return list(sk.ALL if d > 1 else sk.UNIVARIATE)
    names = [covariance_types] if isinstance(covariance_types, str) else list(covariance_types)
    for name in names:
        sk.structure(name)
    return names
