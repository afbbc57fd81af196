"""Mixtures whose rows come with more than themselves: errors, or what is known of rows that were not seen.

Such a mixture says by `_sample` where the statistics of its rows come from; all else of a fit is what it is elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from gmmlab.axes import Float, Tensor
from gmmlab.errors import BadData
from gmmlab.estimators.beginning import begins
from gmmlab.estimators.shaped import CovarianceMixture
from gmmlab.families import Gaussian
from gmmlab.fit import Step, plateau

if TYPE_CHECKING:
    from gmmlab.widgets.explorer import Explorer


@dataclass(kw_only=True, eq=False, repr=False)
class SourcedMixture(CovarianceMixture):
    """A Gaussian mixture fitted to statistics from a source of its own."""

    def _read(self, values: Mapping[str, Tensor], origin: Float[Tensor, "d"]) -> Gaussian:
        return self._read_gaussian(values, origin)

    def _steps_of(self, X: Any, told: Any) -> Iterator[Step]:
        """The steps that a fit would take from its first start, one by one. Bad parameters and rows raise at once."""
        self._validate_params()
        sample, rng = self._sample(X, told)
        begin = next(iter(begins(self, sample, rng)))
        return islice(self._climb(sample, rng)(begin, plateau(float(self.tol))), int(self.max_iter))

    def _watched(self, X: Any, told: Any, **options: Any) -> Explorer:
        """An Explorer of the fit, which goes on from any model that is sent in."""
        from gmmlab.data import as_rows
        from gmmlab.estimators.fitting import Begin
        from gmmlab.widgets.fits import Recipe, ending
        from gmmlab.widgets.opening import explore
        from gmmlab.widgets.session import Session

        self._validate_params()
        rows, (sample, rng) = as_rows(X, missing=True), self._sample(X, told)
        if rows.x.shape[1] != sample.x.shape[1]:
            raise BadData(
                f"The rows have {rows.x.shape[1]} columns and the mixture {sample.x.shape[1]}; expected the same to "
                "show both in one picture. Try steps."
            )
        begin, climb = next(iter(begins(self, sample, rng))), self._climb(sample, rng)
        recipe = Recipe(
            lambda tol, max_iter: lambda model: climb(Begin(model), ending(tol, max_iter)),
            {"tol": float(self.tol) or 1e-12, "max_iter": None},
        )
        session = Session(rows.x, begin.model, fit=recipe, names=rows.names)
        return explore(session=session, **options)
