"""What a fitted mixture could have been as well: draws of its estimates, refits, and draws from a posterior."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch

from gmmlab.algebra import assign
from gmmlab.axes import Float, Int, Tensor
from gmmlab.errors import BadData
from gmmlab.families import Gaussian
from gmmlab.model import Mixture
from gmmlab.score.bundle import Stability, estimates, labelled, matched, stability
from gmmlab.score.information import observed_information
from gmmlab.score.uncertainty import align, taken

ROWS = 20_000  # of which the information is taken, and with which stability is counted
WORK = 1e8  # products that the information may take
FEW = 2_000  # with which stability is counted where draws come at once
MOST_PARAMETERS = 2_000  # of which the information is taken: ten seconds and a gigabyte
DRAWN = 200  # draws of the estimates
SHOWN = 25  # of them


class Words(NamedTuple):
    """What a mixture is called that others are held against, and what holds most of the others."""

    one: str = "fitted"
    value: str = "estimate"
    interval: str = "interval"


CREDIBLE = Words("estimate", interval="credible")


class Bundle(NamedTuple):
    """Mixtures beside a fitted one, how they came about, and what is to be said of it."""

    models: tuple[Mixture, ...]
    order: Int[Tensor, "b k"]  # for each component of the fitted one that of a mixture that stands for it, or -1
    stability: Stability
    source: str  # "draws from ...", "refits to ..."
    doubt: str = ""
    words: Words = Words()


def by_information(
    model: Mixture,
    x: Float[Tensor, "n d"],
    rng: torch.Generator,
    draws: int,
    *,
    weight: Float[Tensor, "n"] | None = None,
) -> Bundle:
    """Draws from the large-sample distribution of the estimates, by the observed information.

    A row of weight 2 counts as two rows. Of many rows every so manieth is looked at, with their weights. Raises
    `BadData` for rows with gaps, and `TypeError` or `ValueError` where the information is not known or too large, or
    the fit is no maximum.
    """
    if model.n_parameters > MOST_PARAMETERS:
        raise ValueError(
            f"The information of {model.n_parameters:,} parameters is a table of as many rows and columns; expected at "
            f"most {MOST_PARAMETERS:,}."
        )
    if bool(torch.isnan(x).any()):
        raise BadData("The observed information is that of complete rows, and these have gaps.")
    if not isinstance(model.components, Gaussian):
        kind = type(model.components).__name__
        raise TypeError(f"The observed information is known for Gaussian components, not for {kind} ones.")
    few = thinned(x, _affordable(model))
    times = few.new_full((len(few),), len(x) / len(few))
    if weight is not None:
        own = thinned(weight[:, None], _affordable(model))[:, 0].to(few)
        times = own * (weight.sum() / own.sum())
    information = observed_information(model, few, times)
    attempts = list(estimates(model, information, rng, draws))
    models = tuple(each for each in attempts if each is not None)
    gap, doubts = information.gap if len(few) == len(x) else 0.0, []
    if gap > 0.1:
        doubts.append(
            f"The maximum of the likelihood is {gap:.2g} standard errors away: play the fit to its end first."
        )
    if len(models) < 0.9 * draws:
        doubts.append(f"{draws - len(models)} of {draws} draws are no mixtures: trust the bootstrap.")
    if not models:
        raise ValueError(f"None of {draws} draws has positive definite covariances; the estimates are too unsure.")
    *_, found = stability(model, thinned(x, FEW), attempts)
    doubts += _thinned_words(x, few, "the information") + _thinned_words(x, thinned(x, FEW), "the stability")
    source = f"{len(models)} draws from the distribution of the estimates"
    return Bundle(models, _in_order(models), found, source, " ".join(doubts))


def collected(model: Mixture, x: Float[Tensor, "n d"], refitted: Iterable[Mixture | None]) -> Iterator[Bundle]:
    """A bundle of refits that grows by one with each; components are put in the order of the fitted mixture."""
    models: list[Mixture] = []
    few = thinned(x, ROWS)
    part = _thinned_words(x, few, "the stability")

    def kept() -> Iterator[Mixture | None]:
        for each in refitted:
            if each is not None:
                models.append(align(each, model))
            yield each

    for state in stability(model, few, kept()):
        failed = [f"{state.failed} refits failed: a covariance was singular."] if state.failed else []
        words = f"{counted(len(models), 'refit')} to rows drawn again"
        yield Bundle(tuple(models), _in_order(models), state, words, " ".join(failed + part))


def by_posterior(
    model: Mixture,
    few: Float[Tensor, "n d"],
    drawn: Sequence[tuple[Mixture, Int[Tensor, "n"]]],
    words: Words = CREDIBLE,
) -> Bundle:
    """Draws from a posterior, each with its labels of some rows, by the names of a mixture's components.

    Draws may have more components or fewer: each component is matched with the one of a draw that shares most rows with
    it, if there is one, and what is said of it is over the draws that have it.
    """
    models = tuple(each for each, _ in drawn)
    (labels,) = labelled(few, [model])
    order, found = matched(labels, model.k, [each for _, each in drawn])
    groups = [len(each.unique()) for _, each in drawn]
    some = f" of {min(groups)} to {max(groups)} groups" if groups and min(groups) < max(groups) else ""
    source = f"{counted(len(models), 'posterior draw')}{some}"
    return Bundle(models, order, found, source, _absent(order), words)


def evenly(draws: Sequence[Mixture], most: int) -> list[int]:
    """The numbers of at most so many draws of a chain, whose neighbours are alike: the first few lie all along it."""
    chosen = range(0, len(draws), max(1, -(-len(draws) // most)))
    apart = max(1, len(chosen) // SHOWN)
    return [i for first in range(apart) for i in chosen[first::apart]]


def believed(model: Any, seed: int) -> tuple[Mixture, list[Mixture]] | None:
    """What a fitted Bayesian estimator expects, and draws from its posterior; None of any other."""
    if (kept := getattr(model, "samples_", None)) is not None:
        return model.mixture_, [kept[i] for i in evenly(kept, DRAWN)]
    if hasattr(model, "sample_posterior") and hasattr(model, "means_"):
        return model.expected_, model.sample_posterior(DRAWN, random_state=seed)
    return None


def inhabited(model: Mixture, x: Float[Tensor, "n d"]) -> Mixture:
    """The components that have rows."""
    there = assign(model, x)[0].unique()
    there = there[there >= 0]
    return model if len(there) == model.k else taken(model, there)


def _affordable(model: Mixture) -> int:
    """Of how many rows the information is found in a moment: each takes k f p products."""
    features = (model.d + 1) * (model.d + 2) // 2
    return min(ROWS, max(FEW, int(WORK / (model.k * features * model.n_parameters))))


def _thinned_words(x: Float[Tensor, "n d"], few: Float[Tensor, "m d"], what: str) -> list[str]:
    return [f"{what.capitalize()} is that of {len(few):,} of the rows."] if len(few) < len(x) else []


def thinned(x: Float[Tensor, "n d"], most: int) -> Float[Tensor, "m d"]:
    """Every so manieth row, at most so many."""
    return x[:: -(-len(x) // most)]


def _in_order(models: Sequence[Mixture]) -> Int[Tensor, "b k"]:
    """That of mixtures whose components have been put in it."""
    return torch.arange(models[0].k if models else 0).expand(len(models), -1)


def _absent(order: Int[Tensor, "b k"]) -> str:
    """Which component most draws lack, in words."""
    lack = (order < 0).double().mean(0)
    if not len(order) or not bool((lack > 0).any()):
        return ""
    most = int(lack.argmax())
    share = f"{float(lack[most]):.0%}"
    if int((lack > 0).sum()) > 1:
        return (
            f"Components are missing from draws, component {most + 1} from {share} of them: intervals are of the draws "
            "that have the component."
        )
    return f"Component {most + 1} is missing from {share} of the draws: its intervals are of those that have it."


def counted(n: int, what: str) -> str:
    """So many of a thing, in words."""
    return f"{n} {what}" + ("" if n == 1 else "s")
