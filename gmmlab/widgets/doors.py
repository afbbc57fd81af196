"""The panels of a session, by name: `session.trace()` is `Trace(session)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gmmlab.widgets.compare import Compare
    from gmmlab.widgets.conditional import Conditional
    from gmmlab.widgets.dials import Dials
    from gmmlab.widgets.explorer import Explorer
    from gmmlab.widgets.fit_check import FitCheck
    from gmmlab.widgets.model_map import ModelMap
    from gmmlab.widgets.pairs import Pairs
    from gmmlab.widgets.responsibilities import Responsibilities
    from gmmlab.widgets.trace import Trace
    from gmmlab.widgets.uncertainty import Uncertainty


class Doors:
    """What a session can be looked at with; each call makes another view, and all show the same state."""

    def explorer(self, **options: Any) -> Explorer:
        """Points and ellipses to take by hand."""
        from gmmlab.widgets.explorer import Explorer

        return Explorer(self, **options)  # type: ignore[arg-type]

    def trace(self, **options: Any) -> Trace:
        """The log-likelihood, step by step."""
        from gmmlab.widgets.trace import Trace

        return Trace(self, **options)  # type: ignore[arg-type]

    def pairs(self, **options: Any) -> Pairs:
        """Every pair of some columns."""
        from gmmlab.widgets.pairs import Pairs

        return Pairs(self, **options)

    def responsibilities(self, **options: Any) -> Responsibilities:
        """How sure the model is of each row."""
        from gmmlab.widgets.responsibilities import Responsibilities

        return Responsibilities(self, **options)

    def fit_check(self, **options: Any) -> FitCheck:
        """Whether the rows look as if they came from the model."""
        from gmmlab.widgets.fit_check import FitCheck

        return FitCheck(self, **options)

    def compare(self, other: Any = None, **options: Any) -> Compare:
        """The model beside another one, or beside the one it began as."""
        from gmmlab.widgets.compare import Compare

        return Compare(self, other, **options)

    def conditional(self, **options: Any) -> Conditional:
        """One column given others."""
        from gmmlab.widgets.conditional import Conditional

        return Conditional(self, **options)

    def uncertainty(self, **options: Any) -> Uncertainty:
        """How well the parameters are known."""
        from gmmlab.widgets.uncertainty import Uncertainty

        return Uncertainty(self, **options)

    def dials(self, **options: Any) -> Dials:
        """The settings of the fit, to be turned while it runs."""
        from gmmlab.widgets.dials import Dials

        return Dials(self, **options)

    def model_map(self, **options: Any) -> ModelMap:
        """The map of the search that this session runs."""
        from gmmlab.widgets.model_map import ModelMap

        return ModelMap(self, **options)  # type: ignore[arg-type]
