"""`GaussianMixture`, a drop-in for scikit-learn's: the same constructor, attributes and manners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from gmmlab.axes import Float, Tensor
from gmmlab.estimators.fitting import Fit, moved
from gmmlab.estimators.sample import Sample
from gmmlab.estimators.shaped import ShapedMixture
from gmmlab.estimators.verbose import Reporter
from gmmlab.families import Gaussian

if TYPE_CHECKING:
    from gmmlab.widgets.explorer import Explorer


@dataclass(kw_only=True, eq=False, repr=False)
class GaussianMixture(ShapedMixture):
    """Gaussian mixture fitted by expectation maximisation.

    Takes what `sklearn.mixture.GaussianMixture` takes and, from the same start, ends at the same numbers. Its own
    starts come from other random streams: a seed stored for scikit-learn gives other, equally good ones. Tensors are
    accepted beside arrays and frames; a tensor in means tensors out, on the same device. Entries may be missing (NaN):
    EM is exact by what is there. A `stream` of rows that do not fit in memory is read once for every step. float32 rows
    are scored in float32 while a fit keeps parameters and sums in float64; every other dtype becomes float64. The
    fitted attributes have the dtype of the rows.

    Parameters
    ----------
    n_components : int, default=1
        Number of components.
    covariance_type : str or `Blocks`, default='full'
        Own covariance matrix each ('full'), one for all ('tied'), own variances along the axes ('diag'), or one
        variance each ('spherical'); or one of the fourteen by its letters, 'EII' to 'VVV', for volume, shape and
        orientation that are equal, variable or the identity. `Blocks(((0, 2), (1, 3)))` of `gmmlab.families`: own
        covariance matrices in which only columns of one block are correlated.
    tol : float, default=1e-3
        The fit ends when the mean log-likelihood changes by less than this in a step.
    reg_covar : float, default=1e-6
        Added to all variances at every step, in squared data units.
    max_iter : int, default=100
        Steps at most; 0 keeps the start.
    n_init : int, default=1
        Number of starts, of which the best is kept.
    init_params : str, clusterer or array, default='auto'
        The start: 'auto', the best of several partitions by short runs, whatever the units of the columns (on the whole
        better than k-means, but not on all data); 'hierarchical', the tree that mclust starts from; 'ward'; 'kmeans';
        'k-means++' or 'random_from_data', every row to the nearest of k seeds (where scikit-learn gives the seeds
        alone); 'random' responsibilities. Or any clusterer, such as `SDPClustering(k)` or scikit-learn's. Or what you
        have: a label for each row, or responsibilities (n, k); -1 or NaN leaves a row out of the start.
    weights_init, means_init, precisions_init : array-like or None
        Parameters to start from, in place of those of the start; with all three, no start is made.
    random_state : int, RandomState instance or None
        Seed of the start and of `sample`.
    warm_start : bool, default=False
        Go on from the last fit.
    verbose : int, default=0
        1 prints starts and steps, 2 also times and changes.
    verbose_interval : int, default=10
        Steps between two lines.
    prior : 'mclust', dict or None, default=None
        A conjugate prior, whose mode is found: mclust's weak one, or `kappa`, `dof`, `mean` and `scale` of a normal
        inverse Wishart prior (what is left out is mclust's).
    weights_prior : float, array of shape (k,) or None, default=None
        The parameters of a Dirichlet prior of the weights, at least 1, of which the mode is found: a component has
        `weights_prior` - 1 more rows than are seen. Weights stay away from zero.
    noise : bool or float, default=False
        A uniform background in the box around the rows, for those that belong to no component; a number is its share
        to begin with. `predict` gives them -1.
    acceleration : {'squarem', 'anderson'} or None, default=None
        Leaps along the steps of EM, taken back where the objective would fall: fewer steps where EM is slow.
    batch_size : int or None, default=None
        Refit after every batch of so many rows, whose statistics are kept until it comes again, instead of after all
        rows: incremental EM, which ends where EM does and often needs fewer passes. A step is then a pass. For batches
        that come once, see `partial_fit`.
    split_merge : bool, default=False
        After the best start has converged, merge two components and split a third wherever that ends higher: out of
        optima that EM cannot leave. Needs three components; every climb may take `max_iter` steps.

    Attributes
    ----------
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : arrays
        The fitted parameters, in scikit-learn's shapes; covariances of three letters are (k, d, d), or (k, d) where
        the last is I.
    converged_ : bool
        Whether the best start reached `tol`.
    n_iter_ : int
        Steps of the best start, and of the moves that follow it.
    lower_bound_ : float
        Mean log-likelihood per row at the last E-step (before the last refit); with priors, the log density of the
        parameters, up to a constant, is added to the total.
    lower_bounds_ : list of float
        The same at every step.
    noise_weight_, noise_box_ : float, array of shape (2, d)
        Share of the noise and the corners of its box, with `noise`.
    certificate_ : Certificate
        What is known about the end: last gain, what is still to come, condition numbers, smallest component, jitter.
    mixture_ : Mixture
        The fitted model as a value.
    n_features_in_ : int
    feature_names_in_ : array of str

    References
    ----------
    Dempster, Laird and Rubin (1977); Bishop (2006), section 9.2; Neal and Hinton (1998) for `batch_size`; Ueda, Nakano,
    Ghahramani and Hinton (2000) for `split_merge`.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab import GaussianMixture
    >>> X = np.array([[1, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> model = GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> sorted(model.means_[:, 0].round(6).tolist())
    [1.0, 10.0]
    """

    split_merge: bool = False

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = ShapedMixture._parameter_constraints | {
        "split_merge": ["boolean"],
    }
    _takes_gaps: ClassVar[bool] = True

    def _plain(self) -> bool:
        return (
            self.prior is None and self.weights_prior is None and self.acceleration is None and self.batch_size is None
        )

    def _best_fit(self, sample: Sample, rng: torch.Generator) -> Fit:
        best = super()._best_fit(sample, rng)
        if not self.split_merge or self.max_iter == 0:
            return best
        report = Reporter(self.verbose, self.verbose_interval)
        return moved(best, sample.source, (sample.x, sample.weight), self._budget(), report)

    def _read(self, values: Mapping[str, Tensor], origin: Float[Tensor, "d"]) -> Gaussian:
        return self._read_gaussian(values, origin)

    def explore(self, X: Any, sample_weight: Any = None, **options: Any) -> Explorer:
        """Watch and steer this model on rows `X` in a notebook; unfitted, its parameters give the start.

        Rows count `sample_weight` times; see `gmmlab.explore` for the options.
        """
        from gmmlab.widgets.opening import explore

        return explore(X, model=self, sample_weight=sample_weight, **options)
