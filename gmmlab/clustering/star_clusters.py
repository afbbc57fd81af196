"""`StarClusterFinder`: members of an open cluster by cuts, a spanning tree, and a mixture; and fields to try it on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from gmmlab import fit
from gmmlab.algebra.measured import posterior
from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.clustering.base import MixtureClusterer
from gmmlab.clustering.stars.cuts import Found, Windows, cut
from gmmlab.clustering.stars.peaks import densest
from gmmlab.clustering.stars.simulate import simulate_field
from gmmlab.clustering.stars.sky import middle, tangent_plane
from gmmlab.clustering.stars.tree import RULES, Tree, kept, spanning_tree
from gmmlab.data import as_rows
from gmmlab.errors import BadData, DataWarning, warn
from gmmlab.estimators import parameters as sk
from gmmlab.estimators.sample import generator
from gmmlab.families import Full
from gmmlab.families.measured import measured
from gmmlab.fit.blurred import blurred
from gmmlab.gates import Posterior
from gmmlab.init import RESPONSIBILITIES, from_labels
from gmmlab.init.hierarchy import standardised
from gmmlab.model import Mixture

__all__ = ["ERRORS", "FEATURES", "Facts", "SkyTree", "StarClusterFinder", "simulate_field"]

PLACE = ("ra", "dec")
FEATURES = ("pmra", "pmdec", "parallax")
ERRORS = ("pmra_error", "pmdec_error", "parallax_error")
MAGNITUDE, RUWE = "phot_g_mean_mag", "ruwe"
FEWEST = 20  # stars that a mixture is fitted to
NARROW = 0.3  # standard deviations of the field: the bandwidth in which the start looks for the cluster
CORE = 10  # stars that the cluster begins with at least
BROAD = 0.5  # a cluster is called doubtful whose spread is more than this share of the field's


class SkyTree(NamedTuple):
    """The spanning tree of the stars that passed the cuts, by their numbers in the table, shortest edges first."""

    pairs: Any  # (m, 2)
    lengths: Any  # (m,), degrees
    longest: float  # edge that was kept


class Facts(NamedTuple):
    """What is known of the cluster by its members: mas/yr, mas, kpc, degrees."""

    n: int
    pmra: float
    pmdec: float
    parallax: float
    distance: float  # 1 / (parallax + zero_point); NaN where that is not positive
    ra: float
    dec: float
    radius: float  # around this place that holds half of the members


class _Candidates(NamedTuple):
    """The stars that are left for the mixture, and how they were found."""

    stages: dict[str, Tensor]
    found: Found
    plane: Float[Tensor, "n 2"]
    middle: Float[Tensor, "2"]
    tree: Tree | None
    longest: float
    rows: Int[Tensor, "m"]
    x: Float[Tensor, "m d"]
    noise: Float[Tensor, "m d d"] | None


@dataclass(kw_only=True, eq=False, repr=False)
class StarClusterFinder(MixtureClusterer):
    """Members of an open star cluster in a table of places, proper motions and parallaxes.

    Three stages. Cuts keep good stars that move as the densest place in proper motion does, at its parallax. The
    minimum spanning tree of their places on the sky loses its long edges, and its largest part is kept. A mixture of a
    narrow component and a broad one then says how probable it is that each of these is a member,
    P_i = pi_c N(v_i; mu_c, Sigma_c) / p(v_i) (Sharif, Khakian Ghomi and Taefi, 2025). The stages are theirs; the rules
    by which edges are cut, the windows and the start of the mixture are a reconstruction.

    `fit` takes frames, whose columns are named as in the Gaia archive: 'ra', 'dec', 'pmra', 'pmdec', 'parallax', and,
    unless their cuts are None, 'phot_g_mean_mag' and 'ruwe'. Stars that lack one of these are no members. Raises
    `BadData` for missing columns and where fewer than 20 stars are left for a stage.

    Parameters
    ----------
    max_magnitude : float or None, default=18
        Fainter stars are left out.
    max_ruwe : float or None, default=1.4
        Stars whose astrometric solution is worse are left out.
    motion, parallax : pair of floats, float or None, default=None
        Where the cluster is in proper motion (mas/yr) and parallax (mas), if that is known; the densest places
        otherwise.
    motion_radius, parallax_window : float, default=2.0, 0.5
        How far from there a star may be.
    edge_rule : {'knee', 'sigma2', 'two_lines'}, float or None, default='knee'
        The longest edge that is kept: at the bend of the curve of ascending lengths, at mean + 2 standard deviations,
        at the break of two straight lines through that curve; or so many degrees. None leaves the tree out.
    min_group : int or None, default=None
        Parts of the tree with at least so many stars are kept beside the largest.
    features : sequence of str, default=('pmra', 'pmdec', 'parallax')
        Columns of the mixture. 'ra' and 'dec' stand for degrees east and north of the middle of the field.
    errors : sequence of str or None, default=None
        Columns with the standard errors of the features, such as `ERRORS`. They are taken as independent; the mixture
        is then that of the true values, and faint stars are judged by what their errors allow.
    n_field : int, default=1
        Components of the field.
    start_share : float, default=0.1
        The cluster begins as this share of the stars that are left, those nearest to their densest place. Where it is
        much larger than the cluster's, EM may end with a component that is most of the field.
    p_min : float, default=0.5
        Members are at least so probable.
    zero_point : float, default=0.0
        Added to the parallax before a distance is taken of it; 0.037 mas is often used for Gaia.
    max_iter : int, default=500
        Steps of EM at most.
    tol : float, default=1e-6
        EM ends when the mean log-likelihood changes by less in a step.
    reg_covar : float, default=1e-6
        Added to variances in every step.
    random_state : int, RandomState instance or None
        Taken for scikit-learn's sake: nothing is random here.

    Attributes
    ----------
    membership_ : array of shape (n,)
        Probabilities; zero for stars that did not reach the mixture.
    labels_ : array of shape (n,)
        0 for members, -1 for all others.
    responsibilities_ : array of shape (n, 2)
        Membership, and what is left to one.
    stages_ : dict
        Masks (n,) of the stars that passed 'quality', 'motion', 'parallax', 'tree' and 'members', each within the one
        before.
    mst_ : SkyTree or None
    mixture_ : Mixture
        Component 0 is the cluster.
    cluster_ : Facts
    middle_ : array of shape (2,)
        Right ascension and declination at which the plane touches the sky.
    plane_ : array of shape (n, 2)
        Degrees east and north of there; NaN for stars without a place.
    motion_, parallax_ : array of shape (2,), float
        Centres of the cuts.
    n_iter_ : int

    Examples
    --------
    >>> from gmmlab.clustering import StarClusterFinder, simulate_field
    >>> stars = simulate_field(100, 1000, seed=0)
    >>> finder = StarClusterFinder().fit(stars)
    >>> finder.cluster_.n > 60
    True
    """

    max_magnitude: float | None = 18.0
    max_ruwe: float | None = 1.4
    motion: Any = None
    parallax: float | None = None
    motion_radius: float = 2.0
    parallax_window: float = 0.5
    edge_rule: Any = "knee"
    min_group: int | None = None
    features: Sequence[str] = FEATURES
    errors: Sequence[str] | None = None
    n_field: int = 1
    start_share: float = 0.1
    p_min: float = 0.5
    zero_point: float = 0.0
    max_iter: int = 500
    tol: float = 1e-6
    reg_covar: float = 1e-6

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = MixtureClusterer._parameter_constraints | {
        "max_magnitude": [Real, None],
        "max_ruwe": [Real, None],
        "motion": ["array-like", None],
        "parallax": [Real, None],
        "motion_radius": [Interval(Real, 0.0, None, closed="neither")],
        "parallax_window": [Interval(Real, 0.0, None, closed="neither")],
        "edge_rule": [StrOptions(set(RULES)), Interval(Real, 0.0, None, closed="neither"), None],
        "min_group": [Interval(Integral, 1, None, closed="left"), None],
        "features": [list, tuple],
        "errors": [list, tuple, None],
        "n_field": [Interval(Integral, 1, None, closed="left")],
        "start_share": [Interval(Real, 0.0, 1.0, closed="neither")],
        "p_min": [Interval(Real, 0.0, 1.0, closed="both")],
        "zero_point": [Real],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
    }

    def predict(self, X: Any) -> Any:
        """0 for stars of a table that are members by their features alone, -1 for others: no cut and no tree."""
        check_is_fitted(self)
        column = dict(zip(self._columns, self._checked(X)[0].T, strict=True))
        x = self._features(column, _plane(column, torch.from_numpy(self.middle_)))
        seen = torch.isfinite(x).all(1)
        member = torch.zeros(len(x), dtype=torch.float64)
        noise = self._noise(column)
        member[seen] = self._posterior(self.mixture_, x[seen], None if noise is None else noise[seen]).resp[:, 0]
        return sk.like(X, self._labels(member))

    def _checked(self, X: Any) -> tuple[Float[Tensor, "n d"], torch.Generator]:
        """The columns that are needed, in the order of `_columns`; entries may be missing."""
        if self.errors is not None and len(self.errors) != len(self.features):
            raise BadData(f"errors names {len(self.errors)} columns; expected one for each of {list(self.features)}.")
        if self.motion is not None and len(self.motion) != 2:
            raise BadData(f"motion is {self.motion!r}; expected a pair, pmra and pmdec.")
        names = list(getattr(X, "columns", []))
        if missing := [name for name in self._columns if name not in names]:
            raise BadData(
                f"The table lacks the columns {', '.join(missing)}; it has {', '.join(map(str, names)) or 'no names'}. "
                "Expected a frame with the names of the Gaia archive; cuts that are None need no column."
            )
        rows = as_rows(X[self._columns], min_rows=FEWEST, missing=True)
        return rows.x.double(), generator(self.random_state, rows.x.device)

    def _found(self, x: Float[Tensor, "n d"], rng: torch.Generator) -> Mapping[str, Any]:
        candidates = self._candidates(x)
        last = fit.last(self._climb(candidates, rng))
        model = _cluster_first(last.model)
        self._doubt(model)
        member = torch.zeros(len(x), dtype=torch.float64)
        member[candidates.rows] = self._posterior(model, candidates.x, candidates.noise).resp[:, 0]
        labels = self._labels(member)
        stages = candidates.stages | {"members": labels == 0}
        return {
            "membership_": member,
            "labels_": labels,
            "responsibilities_": torch.stack([member, 1 - member], dim=1),
            "stages_": {name: mask.numpy() for name, mask in stages.items()},
            "mst_": self._sky_tree(candidates),
            "mixture_": model,
            "cluster_": self._facts(x[labels == 0]),
            "middle_": candidates.middle,
            "plane_": candidates.plane,
            "motion_": candidates.found.motion_at,
            "parallax_": candidates.found.parallax_at,
            "n_iter_": last.i,
        }

    def _steps(self, x: Float[Tensor, "n d"], rng: torch.Generator) -> Iterator[fit.Step]:
        return self._climb(self._candidates(x), rng)

    @property
    def _columns(self) -> list[str]:
        """What is read of a table: places, motions and parallaxes first."""
        cuts = [name for name, limit in ((MAGNITUDE, self.max_magnitude), (RUWE, self.max_ruwe)) if limit is not None]
        return list(dict.fromkeys([*PLACE, *FEATURES, *self.features, *(self.errors or ()), *cuts]))

    def _candidates(self, x: Float[Tensor, "n d"]) -> _Candidates:
        """The stars that reach the mixture. Raises `BadData` where they are too few."""
        column = dict(zip(self._columns, x.T, strict=True))
        good = torch.isfinite(x).all(1)
        for name, limit in ((MAGNITUDE, self.max_magnitude), (RUWE, self.max_ruwe)):
            if limit is not None:
                good &= column[name] <= limit
        _enough(good, "quality (complete, max_magnitude, max_ruwe)")
        at = None if self.motion is None else (float(self.motion[0]), float(self.motion[1]))
        windows = Windows(float(self.motion_radius), float(self.parallax_window), at, self.parallax)
        found = cut(torch.stack([column["pmra"], column["pmdec"]], dim=1), column["parallax"], good, windows)
        _enough(found.parallax, "motion_radius and parallax_window")
        centre = middle(column["ra"][good], column["dec"][good])
        plane = _plane(column, centre)
        rows = found.parallax.nonzero().flatten()
        tree = None if self.edge_rule is None else spanning_tree(plane[rows])
        longest = math.inf
        if tree is not None:
            rule = RULES.get(self.edge_rule) if isinstance(self.edge_rule, str) else None
            longest = float(self.edge_rule) if rule is None else rule(tree.lengths)
            rows = rows[kept(tree, longest, self.min_group)]
        left = torch.zeros(len(x), dtype=torch.bool)
        left[rows] = True
        _enough(left, f"the tree, cut at {longest:.3g} degrees (edge_rule={self.edge_rule!r})")
        stages = {"quality": good, "motion": found.motion, "parallax": found.parallax, "tree": left}
        features, noise = self._features(column, plane)[rows], self._noise(column)
        noise = None if noise is None else noise[rows]
        return _Candidates(stages, found, plane, centre, tree, longest, rows, features, noise)

    def _features(self, column: Mapping[str, Tensor], plane: Float[Tensor, "n 2"]) -> Float[Tensor, "n d"]:
        column = {**column, **dict(zip(PLACE, plane.T, strict=True))}
        return torch.stack([column[name] for name in self.features], dim=1)

    def _noise(self, column: Mapping[str, Tensor]) -> Float[Tensor, "n d d"] | None:
        """Covariances of the errors."""
        if self.errors is None:
            return None
        return torch.diag_embed(torch.stack([column[name] for name in self.errors], dim=1).square())

    def _climb(self, candidates: _Candidates, rng: torch.Generator) -> Iterator[fit.Step]:
        """EM, from the stars nearest to the densest place as the cluster."""
        x, noise = candidates.x, candidates.noise
        labels = _parted(x, float(self.start_share), int(self.n_field), rng)
        begin = from_labels(x, labels, Full(), ridge=float(self.reg_covar))
        source = fit.whole(x) if noise is None else blurred(measured(x, noise))
        return islice(fit.run(begin, source, stop=fit.plateau(float(self.tol))), int(self.max_iter))

    @staticmethod
    def _posterior(model: Mixture, x: Float[Tensor, "n d"], noise: Float[Tensor, "n d d"] | None) -> Posterior:
        return model.posterior(x) if noise is None else posterior(model, measured(x, noise))

    def _labels(self, member: Float[Tensor, "n"]) -> Int[Tensor, "n"]:
        return torch.where((member >= self.p_min) & (member > 0), 0, -1)

    def _doubt(self, model: Mixture) -> None:
        """Warns of a cluster that is about as broad as the field."""
        spread = torch.linalg.slogdet(model.gaussian.cov)[1] / (2 * model.d)
        share = float((spread[0] - spread[1:].max()).exp())
        if share > BROAD:
            warn(
                f"The narrow component is {share:.2f} times as broad as the field (geometric mean of standard "
                f"deviations); a cluster is expected below {BROAD}. It may have swallowed the field, or there is no "
                "cluster. Try narrower cuts, or n_field=2.",
                DataWarning,
            )

    def _sky_tree(self, candidates: _Candidates) -> SkyTree | None:
        tree = candidates.tree
        if tree is None:
            return None
        rows = candidates.found.parallax.nonzero().flatten()
        return SkyTree(rows[tree.pairs].numpy(), tree.lengths.numpy(), candidates.longest)

    def _facts(self, members: Float[Tensor, "m d"]) -> Facts:
        column = dict(zip(self._columns, members.T, strict=True))
        if not len(members):
            return Facts(0, *[math.nan] * 7)
        mean = {name: float(column[name].mean()) for name in FEATURES}
        parallax = mean["parallax"] + float(self.zero_point)
        at = middle(column["ra"], column["dec"])
        radius = float(tangent_plane(column["ra"], column["dec"], at).norm(dim=1).median())
        distance = 1 / parallax if parallax > 0 else math.nan
        return Facts(len(members), **mean, distance=distance, ra=float(at[0]) % 360, dec=float(at[1]), radius=radius)


def _enough(stars: Bool[Tensor, "n"], stage: str) -> None:
    if (count := int(stars.sum())) < FEWEST:
        raise BadData(f"{count} stars are left after {stage}; expected at least {FEWEST}. Widen what cut them.")


def _plane(column: Mapping[str, Tensor], touching: Float[Tensor, "2"]) -> Float[Tensor, "n 2"]:
    """Degrees east and north; NaN for stars without a place."""
    ra, dec = (column[name] for name in PLACE)
    plane, placed = torch.full((len(ra), 2), math.nan, dtype=torch.float64), torch.isfinite(ra + dec)
    plane[placed] = tangent_plane(ra[placed], dec[placed], touching)
    return plane


def _parted(x: Float[Tensor, "n d"], share: float, n_field: int, rng: torch.Generator) -> Int[Tensor, "n"]:
    """0 for a share of the rows, nearest to the densest place in units of the columns' spread; the others by Ward."""
    z = standardised(x)
    order = (z - densest(z, NARROW)).norm(dim=1).argsort(stable=True)
    outside = order[max(CORE, round(share * len(x))) :]
    labels = torch.zeros(len(x), dtype=torch.int64)
    labels[outside] = 1 + RESPONSIBILITIES["ward"](z[outside], n_field, rng).argmax(1)
    return labels


def _cluster_first(model: Mixture) -> Mixture:
    """The component with the smallest determinant in front."""
    order = torch.linalg.slogdet(model.gaussian.cov)[1].argsort()
    return model.replace(components=model.gaussian.take(order), gate=model.gate.take(order))  # type: ignore[attr-defined]
