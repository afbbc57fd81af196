"""Estimators that are watched while somebody's own loop feeds them: who is told of every batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from gmmlab.data import as_rows
from gmmlab.model import Mixture

if TYPE_CHECKING:
    from gmmlab.widgets.explorer import Explorer

_told: WeakKeyDictionary[Any, WeakSet[Any]] = WeakKeyDictionary()  # beside the estimators: copies and files have none


class Batch(NamedTuple):
    """The model after a batch, and the mean log density of its rows under the model before: a step of a fit."""

    model: Mixture
    evidence: float

    @property
    def info(self) -> Batch:
        """For those who look there for the evidence."""
        return self


class Monitored:
    """Mixtures with `partial_fit`, which tell of every batch."""

    @available_if(lambda self: hasattr(self, "partial_fit"))
    def monitor(self, X: Any, **options: Any) -> Explorer:
        """Watch the fitted mixture on rows `X` while `partial_fit` goes on in a loop of one's own.

        Every batch is a step, and the line is its mean log density before the mixture has learnt from it. `X` stays as
        it is: the first batch, say, or rows held out. It can be looked back at, not steered; `options` are those of
        `gmmlab.explore`. Batches wait for who looks back or has paused until play, the latest thousand of them; between
        batches the view waits for rows.
        """
        from gmmlab.widgets.feed import Feed
        from gmmlab.widgets.opening import explore

        check_is_fitted(self, "means_")
        self._check_columns(X)  # type: ignore[attr-defined]
        feed = Feed()
        session = feed.session(as_rows(X, missing=True), self.mixture_)  # type: ignore[attr-defined]
        _told.setdefault(self, WeakSet()).add(feed)
        return explore(session=session, **options)

    def _tell(self, step: Any) -> None:
        """A step to all that watch."""
        for feed in tuple(_told.get(self, ())):
            feed.give(step)
