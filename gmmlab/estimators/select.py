"""`gmmlab.select`: which covariance type, and how many components?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec

import torch
from sklearn.exceptions import ConvergenceWarning

from gmmlab.axes import Bool, Float, Tensor
from gmmlab.data import as_rows, row_weights
from gmmlab.data.streams import Stream
from gmmlab.errors import BadData, warn
from gmmlab.estimators import parameters as sk
from gmmlab.estimators import ratio
from gmmlab.estimators.fitting import Budget, Fit
from gmmlab.estimators.gaussian_mixture import GaussianMixture
from gmmlab.estimators.ranking import CRITERIA, Rest, by_cell, could_win, ranks, value
from gmmlab.estimators.sample import Sample, generator, of_rows, of_stream
from gmmlab.estimators.search import NOT_YET, Cell, Fitted, Progress, search
from gmmlab.estimators.starting import Starting, counting, folds, without_each
from gmmlab.extras import needs
from gmmlab.fit.missing import nothing_observed
from gmmlab.score.merging import MergeTree, combine

if TYPE_CHECKING:
    from pandas import DataFrame

    from gmmlab.plot import Picture
    from gmmlab.widgets.model_map import ModelMap

P = ParamSpec("P")
HEAD = 500  # rows that are looked at first for as many distinct ones as components


def drained(steps: Callable[P, Iterator[tuple[Selection, Progress]]]) -> Callable[P, Selection]:
    """The function that takes all the steps and returns the last selection; after an interrupt, what there is."""

    @wraps(steps, assigned=("__module__", "__doc__"))
    def select(*args: P.args, **kwargs: P.kwargs) -> Selection:
        result = None
        try:
            for found, _ in steps(*args, **kwargs):
                result = found
        except KeyboardInterrupt:
            if result is None:
                raise
            warn("Interrupted: the selection holds the fits that had finished.", ConvergenceWarning)
        assert result is not None  # there is at least one cell
        return result

    shown = signature(steps).replace(return_annotation="Selection")
    vars(select).update(__signature__=shown)  # what help() and notebooks show
    return select


def selecting(
    X: Any,
    n_components: int | Iterable[int] = range(1, 10),
    covariance_types: str | Sequence[str] = "all",
    *,
    criterion: str = "bic",
    cv: Any = 5,
    sample_weight: Any = None,
    init_params: str | Sequence[str] = "hierarchical",
    n_init: int = 1,
    reg_covar: float = 0.0,
    tol: float = 1e-5,
    max_iter: int = 1000,
    random_state: Any = None,
    verbose: int = 0,
) -> Selecting:
    """Fit every covariance type with every number of components, in one batch, and rank them.

    Parameters
    ----------
    X : array-like of shape (n, d), or stream
        Rows. Entries may be missing (NaN). A `stream` is read once for every step of all models.
    n_components : int or iterable of int, default=1 to 9
        Numbers of components to try.
    covariance_types : str or sequence of str, default="all"
        Names as `GaussianMixture` takes them; "all" stands for the fourteen of mclust (two for one column).
    criterion : {"bic", "icl", "icl_soft", "aic", "aicc", "nec", "mml", "cv"}, default="bic"
        What ranks the models, in scikit-learn's sign: lower is better. ICL has a price for labels in doubt, as mclust
        has it, or ("icl_soft") for the entropy of the responsibilities. NEC is that entropy in parts of what the
        likelihood gains on one component, so that 1 must be among `n_components`. MML is the length of a message, in
        nats. "cv" is -2 times the log-likelihood of the rows, each under the fit without its fold: on the scale of AIC
        (Smyth, 2000). It is infinite where such a fit turned singular.
    cv : int or array-like of shape (n,), default=5
        With criterion="cv", the number of random folds, or the fold of each row. The fits without each fold climb
        beside those of all rows, and start from partitions of the rows that they have: they know nothing of the fold.
    sample_weight : array-like of shape (n,) or None
        How many times each row counts.
    init_params : str or sequence of str, default="hierarchical"
        The start, as `GaussianMixture` takes it, or several; the same partitions serve all covariance types, and each
        cell keeps the best of its fits.
    n_init : int, default=1
        How often starts that are random are drawn for each number of components.
    reg_covar : float, default=0.0
        Added to all variances. Zero as in mclust: a model that turns singular is refused, not mended.
    tol : float, default=1e-5
        A fit ends when the mean log-likelihood changes by less than this; those that could win go on to a thousandth.
    max_iter : int, default=1000
        Steps at most. With up to 20 they are of plain EM; with more, models leap once they gain little.
    random_state : int, RandomState instance or None
        Seed of random starts.
    verbose : int, default=0
        1 prints how many fits have finished, with an estimate of the time left.

    Returns
    -------
    Selection
        `best_`, `table_`, `ranking()`, `near_ties()`, `refused()`, `combine()`, `bootstrap_test()`, `plot()`. An
        interrupt (the notebook's stop button) returns what there is so far, with a warning. `selecting` takes the same
        and goes step by step: it yields what there is so far, and the `Progress` of the fits.

    Examples
    --------
    >>> import gmmlab
    >>> found = gmmlab.select(gmmlab.faithful(), range(1, 4), ["full", "tied"])
    >>> found.best_.covariance_type, found.best_.n_components
    ('tied', 3)
    """
    if criterion not in CRITERIA:
        raise ValueError(f"criterion is {criterion!r}; expected one of {', '.join(map(repr, CRITERIA))}.")
    starting = Starting.of(init_params, int(n_init))
    rng = generator(random_state, X.device if isinstance(X, Tensor) else torch.device("cpu"))
    ks = _numbers(n_components)
    if criterion == "nec" and ks[0] > 1:
        raise ValueError(f"criterion is 'nec', which compares with one component; expected 1 among {ks}.")
    data = _data(X, sample_weight, cv if criterion == "cv" else None, ks, rng)
    _check_distinct(data, ks[-1])
    cells = [Cell(name, sk.structure(name), k) for name in _names(covariance_types, data.sample.x.shape[1]) for k in ks]
    asked = Asked(data, criterion, starting, Budget(float(tol), int(max_iter)), float(reg_covar))
    return Selecting(asked, cells, _steps(asked, cells, ks, rng, verbose))


class Selecting(Iterator[tuple["Selection", Progress]]):
    """The steps of a search: what there is so far, and how many of the fits that is.

    Attributes
    ----------
    start : Selection
        What there is before the first step: no cell is fitted yet.
    """

    def __init__(self, asked: Asked, cells: Sequence[Cell], steps: Iterator[tuple[Selection, Progress]]) -> None:
        waiting = [Fitted(cell, refused=NOT_YET) for cell in cells]
        self.start, self._steps = Selection(asked, Progress(0, len(cells), 0.0, lambda: waiting)), steps

    def __next__(self) -> tuple[Selection, Progress]:
        return next(self._steps)


def _steps(
    asked: Asked, cells: Sequence[Cell], ks: list[int], rng: torch.Generator, verbose: int
) -> Iterator[tuple[Selection, Progress]]:
    data, shown = asked.data, 0.0
    starts = asked.starting.starts(data.sample, ks, data.columns, rng)
    close = could_win(asked.criterion, data.sample.n)
    for progress in search(data.sample, cells, starts, close, asked.budget, ridge=asked.ridge):
        if verbose and progress.seconds > shown + 1:
            shown = progress.seconds
            print(f"  {progress.finished} of {progress.total} fits, about {progress.remaining:.0f} s left")
        yield Selection(asked, progress), progress


select = drained(selecting)


class Data(NamedTuple):
    """What came in: rows as given, the weights of the caller, and the rows for the search."""

    X: Any
    weight: Float[Tensor, "n"] | None
    sample: Sample
    gaps: Bool[Tensor, "m d"] | None = None  # which entries of its rows are missing

    @property
    def columns(self) -> int:
        """Columns of weights: one for all rows, and one for those outside each fold."""
        weight = self.sample.weight
        return 1 if weight is None or weight.ndim == 1 else weight.shape[1]


class Asked(NamedTuple):
    """What a selection was asked for, checked."""

    data: Data
    criterion: str
    starting: Starting
    budget: Budget
    ridge: float


class Selection:
    """What a search found: a table of cells, their ranking, and the model of each.

    Attributes
    ----------
    best_ : GaussianMixture
        The model of the cell that ranks first, fitted.
    table_ : DataFrame
        One row for each covariance type and number of components: the criteria (see `select`; lower is better; `cv`
        only where it ranks), `loglik` (total), `n_parameters`, `smallest` (rows of the smallest component), `n_iter`,
        `converged`, and `refused`, the reason why a cell has no model.
    """

    def __init__(self, asked: Asked, progress: Progress | None = None) -> None:
        self.criterion, self.n = asked.criterion, asked.data.sample.n
        self.asked, self._progress = asked, progress

    @cached_property
    def fitted(self) -> list[Fitted]:
        """The best fit of every cell, in the order of the search."""
        return [] if self._progress is None else by_cell(self._progress.fitted())

    @cached_property
    def table_(self) -> DataFrame:
        """All cells, in the order of the search."""
        rest = Rest.of(self.fitted, self.n)
        names = [name for name in CRITERIA if name != "cv" or self.asked.data.columns > 1]
        rows = [
            {
                "covariance_type": one.cell.covariance_type,
                "n_components": one.cell.k,
                **{name: value(name, one, rest) for name in names},
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
        return table.sort_values(self._column(criterion), kind="stable", ignore_index=True)

    def mclust_table(self, criterion: str | None = None) -> DataFrame:
        """A criterion as R's mclust prints it: higher is better, a row for each number of components."""
        return -self._grid(self._column(criterion)).T

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
        best = self._first()
        if best.model is None:
            raise ValueError(
                "Every model was refused, so there is no best one; see `refused()`. Fewer components, simpler "
                "covariance types, or reg_covar > 0 would help."
            )
        return self._estimator(best)

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
        data = self.asked.data
        return combine(torch.as_tensor(self.best_.predict_proba(data.X)), data.weight)

    def bootstrap_test(
        self,
        covariance_type: str | None = None,
        n_components: int | Iterable[int] | None = None,
        *,
        draws: int = 99,
        level: float = 0.05,
        random_state: Any = None,
        verbose: int = 0,
    ) -> DataFrame:
        """Is one more component worth it? The likelihood-ratio test against samples of the smaller model.

        Within one covariance type, K components are tested against K + 1, for the least K first, until a test says no
        (p > `level`), as in mclust's `mclustBootstrapLRT`. Both models are fitted to each sample as the selection fits
        them to the rows, starts included. Twice the log of the likelihood ratio has no chi-squared distribution here:
        under the smaller model a parameter lies on the boundary. See McLachlan (1987).

        Parameters
        ----------
        covariance_type : str or None
            One of the selection's; None for that of the best model.
        n_components : int, iterable of int, or None
            The numbers K to test against K + 1; None for those of the selection but the last.
        draws : int, default=99
            Samples for each test; the least p-value is 1 / (1 + draws).
        level : float, default=0.05
            The p-value above which the smaller model is kept and no larger one is tested.
        random_state : int, RandomState instance or None
            Seed of the samples.
        verbose : int, default=0
            1 prints how many samples have been fitted.

        Returns
        -------
        DataFrame
            One row for each test: `n_components`, `against`, `statistic`, `p_value` (the share of samples whose
            statistic is at least that of the rows, which count as one), `draws`, `failed` (samples to which a model
            could not be fitted) and `stuck` (in which the larger model came out less likely). After an interrupt it
            holds what there was, with a warning: p-values are valid for the samples that they have.
        """
        asked, kind = self.asked, covariance_type or self._first().cell.covariance_type
        if isinstance(asked.data.X, Stream):
            raise BadData(
                "The rows are a stream; expected rows in memory, as each sample has as many. Try some of them."
            )
        ks, rng = self._tested(kind, n_components), generator(random_state, asked.data.sample.x.device)
        cells = ((Cell(kind, sk.structure(kind), k), Cell(kind, sk.structure(kind), k + 1)) for k in ks)
        fits = [ratio.Fits(pair, asked.starting, asked.budget, asked.ridge, rng) for pair in cells]
        found: list[ratio.Tested] = []
        try:
            for found in ratio.in_turn(ratio.Data(asked.data.sample, asked.data.gaps), fits, draws, level):
                if verbose:
                    last = found[-1]
                    print(f"  {last.n_components} against {last.against}: {last.draws} of {draws} samples")
        except KeyboardInterrupt:
            warn("Interrupted: the table holds the tests and samples that had finished.", ConvergenceWarning)
        return needs("pandas").DataFrame(found, columns=ratio.Tested._fields)

    def plot(self, criterion: str | None = None, **options: Any) -> Picture:
        """The map of all cells: a line for each covariance type over the number of components."""
        from gmmlab.plot import Scores, selection_map

        name = self._column(criterion)
        grid = self._grid(name)
        scores = Scores(list(grid.index), [int(k) for k in grid.columns], grid.to_numpy(float))
        return selection_map(scores, criterion=name.upper(), **options)

    def explore(self, **options: Any) -> ModelMap:
        """The map as a widget: a click on a model opens it, for an Explorer and all other panels."""
        from gmmlab.widgets.model_map import ModelMap

        return ModelMap(self, **options)

    def _grid(self, criterion: str) -> DataFrame:
        """A criterion by covariance type and number of components; NaN where a cell has no model."""
        return self.table_.pivot_table(
            index="covariance_type", columns="n_components", values=criterion, sort=False, dropna=False
        )

    def _column(self, criterion: str | None) -> str:
        """A criterion of the table. Raises `ValueError` for one that it does not have."""
        name = criterion or self.criterion
        if name not in self.table_ or name not in CRITERIA:
            known = ", ".join(repr(known) for known in CRITERIA if known in self.table_)
            raise ValueError(
                f"The table has no {name!r}; expected one of {known}, or 'cv' after select(criterion='cv')."
            )
        return name

    def _first(self) -> Fitted:
        """The cell that ranks first; one without a model if there is no other."""
        values = ranks(self.criterion, self.fitted, self.n)
        return min(self.fitted, key=lambda one: (one.model is None, values[one.cell]))

    def _tested(self, kind: str, n_components: int | Iterable[int] | None) -> list[int]:
        """The numbers of components that are tested against one more, in their order."""
        if n_components is not None:
            return _numbers(n_components)
        ks = sorted(one.cell.k for one in self.fitted if one.cell.covariance_type == kind)
        tested = [k for k in ks if k + 1 in ks]
        if not tested:
            raise ValueError(
                f"The table has {kind} with {ks} components; expected two numbers in a row. Try n_components=1."
            )
        return tested

    def _estimator(self, one: Fitted) -> GaussianMixture:
        assert one.model is not None
        model = GaussianMixture(one.cell.k, covariance_type=one.cell.covariance_type, reg_covar=self.asked.ridge)
        model._store(Fit(one.model, one.trace, one.converged), self.asked.data.X, self.n)
        return model

    def __repr__(self) -> str:
        if not self.fitted:
            return "Selection(nothing fitted yet)"
        best = self._first()
        refused = sum(one.model is None for one in self.fitted)
        if best.model is None:
            return f"Selection(no model: {best.refused}; {len(self.fitted)} cells, {refused} refused)"
        return (
            f"Selection(best: {best.cell.covariance_type} with {best.cell.k} components, {self.criterion} "
            f"{ranks(self.criterion, self.fitted, self.n)[best.cell]:.3f}; {len(self.fitted)} cells, {refused} refused)"
        )

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>" + self.ranking().head(5).to_html(index=False, na_rep="")


def _data(X: Any, sample_weight: Any, cv: Any, ks: list[int], rng: torch.Generator) -> Data:
    """Checked rows, with a column of weights for the rows outside each fold if there are to be folds."""
    if isinstance(X, Stream):
        if cv is not None:
            raise BadData("The rows are a stream, whose folds are not known; expected another criterion than 'cv'.")
        return Data(X, None, of_stream(X, sample_weight, ks[-1], rng))
    rows = as_rows(X, min_rows=2, missing=True)
    weight = row_weights(sample_weight, rows.x)
    columns = weight if cv is None else without_each(folds(cv, len(rows.x), rng), weight, rows.x)
    gaps = rows.x[~nothing_observed(rows.x)].isnan() if rows.gaps else None
    return Data(X, weight, of_rows(rows, columns), gaps)


def _numbers(n_components: int | Iterable[int]) -> list[int]:
    ks = [n_components] if isinstance(n_components, int) else sorted({int(k) for k in n_components})
    if not ks or ks[0] < 1:
        raise ValueError(
            f"n_components is {n_components!r}; expected whole numbers of at least 1, such as range(1, 10)."
        )
    return ks


def _check_distinct(data: Data, most: int) -> None:
    for column in range(data.columns):
        rows = data.sample.x[counting(data.sample, column)]
        if len(set(map(tuple, rows[:HEAD].tolist()))) >= most:  # most often; to sort all takes longer
            continue
        distinct = len(rows.unique(dim=0))
        if most > distinct:
            where = f" outside fold {column - 1}" if column else ""
            raise BadData(
                f"n_components goes up to {most}, but only {distinct} rows{where} are distinct. Try range(1, "
                f"{distinct + 1})."
            )


def _names(covariance_types: str | Sequence[str], d: int) -> list[str]:
    if covariance_types == "all":
        return list(sk.ALL if d > 1 else sk.UNIVARIATE)
    names = [covariance_types] if isinstance(covariance_types, str) else list(covariance_types)
    for name in names:
        sk.structure(name)
    return names
