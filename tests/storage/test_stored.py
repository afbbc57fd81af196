"""Laws of every estimator that can be stored; and every public estimator can."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import random
import re
import warnings
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load as read
from safetensors.torch import save as write
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris

import gmmlab
from gmmlab import GaussianMixture
from gmmlab.clustering import (
    CategoryDiscoveryGMM,
    MeanShift,
    ModalClustering,
    PartitivePartitioning,
    SampledGaussianMixture,
    SDPClustering,
    StarClusterFinder,
    TangleClustering,
    simulate_field,
)
from gmmlab.errors import BadData, BadFile
from gmmlab.experts import GMRegressor, LogisticMoE, SoftmaxMoE, TopKMoE
from gmmlab.sequences import ARHMM, HMM, FactorEmission, GMMEmission, StudentEmission
from gmmlab.storage import STORED, load, save
from gmmlab.storage.values import VALUES

NOT_STORED: dict[str, str] = {}
"""Public estimators without an entry, and why."""


# -- the inventory -----------------------------------------------------------------------------------------------------

FRAME, Y = load_iris(return_X_y=True, as_frame=True)
FRAME, Y = FRAME.sample(frac=1, random_state=0), Y.sample(frac=1, random_state=0).to_numpy()
X = FRAME.to_numpy()
INPUTS, OUTPUT = X[:, :2], X[:, 2]
SOME = np.where(np.arange(len(Y)) % 10 == 0, Y, -1)
WORDS = np.array(["setosa", "versicolor", "virginica"])[Y]
STARS = simulate_field(60, 400, seed=0)


class Example(NamedTuple):
    """An estimator, what it is fitted to, and what it is asked afterwards, each answer by its name."""

    model: Any
    fit: Callable[[Any], Any]
    asked: tuple[Callable[[Any], Any], ...]


def mixture(model: Any, rows: Any = X, **options: Any) -> Example:
    """Asked for what a mixture answers."""
    names = ("predict", "predict_proba", "score_samples")
    return Example(
        model,
        lambda m: m.fit(rows, **options),
        (*(lambda m, name=name: getattr(m, name)(rows) for name in names), lambda m: m.sample(7)),
    )


def clusterer(model: Any, *rows: Any) -> Example:
    """Asked for the groups of rows, and for the mixture of them."""
    rows = rows or (X,)
    return Example(model, lambda m: m.fit(*rows), (lambda m: m.predict(rows[0]), lambda m: m.mixture_.weights))


def experts(model: Any, y: Any = OUTPUT, x: Any = INPUTS, **options: Any) -> Example:
    """Asked for outputs, their densities and draws."""
    return Example(
        model,
        lambda m: m.fit(x, y, **options),
        (
            lambda m: m.predict(x, **options),
            lambda m: m.log_density(x, y, **options),
            lambda m: m.sample(x, random_state=1, **options),
        ),
    )


def chain(model: Any, rows: Any = X) -> Example:
    """Asked for states, densities and what comes next."""
    return Example(
        model,
        lambda m: m.fit(rows, lengths=[60, 90]),
        (
            lambda m: m.predict_proba(rows, [60, 90]),
            lambda m: m.score_samples(rows, [60, 90]),
            lambda m: m.decode(rows, [60, 90]).states,
            lambda m: m.forecast(rows).weights,
        ),
    )


QUICK = {"n_init": 1, "max_iter": 30, "random_state": 0}
DRAWS = {"n_samples": 2, "burn_in": 1, "random_state": 0}
EXAMPLES: dict[str, Example] = {
    "batches": Example(
        GaussianMixture(2, covariance_type="EEV", prior="mclust", noise=True, random_state=0),
        lambda m: m.partial_fit(X[:90]).partial_fit(X[90:]),
        (lambda m: m.predict_proba(X),),
    ),
    "batches of heavy tails": Example(
        gmmlab.StudentMixture(2, random_state=0), lambda m: m.partial_fit(X), (lambda m: m.score_samples(X),)
    ),
    "started by a clusterer": mixture(GaussianMixture(2, init_params=PartitivePartitioning(), random_state=0), FRAME),
    "bayesian": mixture(gmmlab.BayesianGaussianMixture(3, learn_alpha=True, random_state=0)),
    "factors": mixture(gmmlab.FactorMixture(2, random_state=0)),
    "heavy tails": mixture(gmmlab.StudentMixture(2, noise=True, random_state=0)),
    "errors": mixture(gmmlab.DeconvolvedGaussianMixture(2, random_state=0), errors=0.1),
    "censored": mixture(gmmlab.CensoredGaussianMixture(2, random_state=0), np.where(X < 0.3, np.nan, X), upper=0.3),
    "truncated": mixture(gmmlab.TruncatedGaussianMixture(2, upper=[9.0, 9.0, 9.0, 9.0], random_state=0)),
    "labelled": mixture(gmmlab.SemiSupervisedGMM(3, random_state=0), y=SOME),
    "labelled by words": mixture(gmmlab.SemiSupervisedGMM(3, random_state=0), FRAME, y=np.where(SOME < 0, None, WORDS)),
    "growing": mixture(gmmlab.IncrementalGaussianMixture(0.5, 0.01, forgetting=0.99, random_state=0)),
    "growing as published": mixture(
        gmmlab.IncrementalGaussianMixture(0.5, 0.01, update="published", random_state=0), torch.tensor(X)
    ),
    "growing regression": Example(
        gmmlab.IncrementalGMRegressor(0.5, 0.01),
        lambda m: m.fit(INPUTS, OUTPUT),
        (lambda m: m.predict(INPUTS, return_std=True),),
    ),
    "growing classifier": Example(
        gmmlab.IncrementalGMClassifier(0.5, 0.01), lambda m: m.fit(X, WORDS), (lambda m: m.predict_proba(X),)
    ),
    "discovered": clusterer(CategoryDiscoveryGMM(random_state=0), X, SOME),
    "shifted": clusterer(MeanShift(kernel="generalised"), X)._replace(asked=(lambda m: m.predict(X),)),
    "peaks": clusterer(ModalClustering(random_state=0)),
    "peaks of an estimator": clusterer(ModalClustering(GaussianMixture(3, random_state=0)), torch.tensor(X)),
    "peaks of a mixture": clusterer(ModalClustering(GaussianMixture(3, random_state=0).fit(X).mixture_)),
    "partitions": clusterer(PartitivePartitioning()),
    "sampled": clusterer(SampledGaussianMixture(**DRAWS)),
    "sampled weights": Example(
        SampledGaussianMixture(inference="gibbs", prior="dirichlet", n_components=4, n_chains=2, **DRAWS),
        lambda m: m.fit(torch.tensor(X)),
        (lambda m: m.score_samples(torch.tensor(X)),),
    ),
    "relaxed": clusterer(SDPClustering(2, solver="low_rank", random_state=0)),
    "stars": clusterer(StarClusterFinder(), STARS),
    "tangles": clusterer(TangleClustering(n_cuts=60, random_state=0)),
    "lines": experts(SoftmaxMoE(2, **QUICK)),
    "lines with a scale": experts(SoftmaxMoE(2, heteroscedastic=True, **QUICK)),
    "lines of several outputs": experts(
        SoftmaxMoE(2, **QUICK),
        torch.tensor(X[:, 2:], dtype=torch.float32),
        torch.tensor(INPUTS, dtype=torch.float32),
        Xg=torch.tensor(X[:, :1], dtype=torch.float32),
    ),
    "few lines": experts(TopKMoE(3, 2, **QUICK)),
    "rules": Example(
        LogisticMoE(2, gate_transform="tanh", **QUICK),
        lambda m: m.fit(INPUTS, WORDS),
        (lambda m: m.predict_proba(INPUTS), lambda m: m.log_likelihood(INPUTS, WORDS)),
    ),
    "rules for objects": Example(
        LogisticMoE(1, **QUICK), lambda m: m.fit(FRAME, WORDS.astype(object)), (lambda m: m.predict_proba(FRAME),)
    ),
    "both ways": experts(GMRegressor([1, 2], random_state=0)),
    "chain": chain(HMM(2, covariance_type="VEI", topology="left-right", random_state=0)),
    "chain of mixtures": chain(HMM(2, emission=GMMEmission(2), random_state=0)),
    "chain of heavy tails": chain(HMM(2, emission=StudentEmission(), covariance_type="full", random_state=0), FRAME),
    "chain of factors": chain(HMM(2, emission=FactorEmission(1), random_state=0), torch.tensor(X)),
    "dynamics": chain(ARHMM(2, order=2, random_state=0)),
}
KINDS = {type(example.model).__name__ for example in EXAMPLES.values()}


@cache
def fitted(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # short fits do not converge
        return EXAMPLES[name].fit(EXAMPLES[name].model)


@cache
def content(name: str, folder: Path) -> bytes:
    path = folder / f"{name}.safetensors"
    save(fitted(name), path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("stored")


def public_estimators() -> dict[str, type]:
    """All estimators that a room of the package names in public."""
    found = {}
    for module in pkgutil.walk_packages(gmmlab.__path__, "gmmlab."):
        if module.ispkg:
            room = importlib.import_module(module.name)
            named = {name: getattr(room, name) for name in getattr(room, "__all__", [])}
            found |= {n: item for n, item in named.items() if inspect.isclass(item) and issubclass(item, BaseEstimator)}
    return found


# -- the laws ----------------------------------------------------------------------------------------------------------


def test_every_public_estimator_can_be_stored_or_says_why_not():
    found = public_estimators()
    assert len(found) >= 24
    assert set(found) == set(STORED) | set(NOT_STORED)
    assert not set(STORED) & set(NOT_STORED) and all(NOT_STORED.values())
    assert all(STORED[name].kind is found[name] for name in STORED)


def test_every_kind_of_estimator_and_value_is_met_here(folder):
    assert set(STORED) == KINDS
    text = "".join(str(parts(content(name, folder))[0]) for name in EXAMPLES)
    elsewhere = {"fixed dof", "common dof", "normal wishart", "dirichlet weights", "stick weights", "known", "learned"}
    plain = {"gaussian emission", "logistic", "secant", "cauchy", "epanechnikov", "normal", "sticks", "counts"}
    assert {name for name in VALUES if f"{{'{name}': {{" not in text} <= elsewhere | plain


def parts(data: bytes) -> tuple[dict, dict]:
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"]["gmmlab"]), read(data)


def joined(header: dict, tensors: dict) -> bytes:
    return write(tensors, {"gmmlab": json.dumps(header)})


def equal(left: Any, right: Any) -> bool:
    if isinstance(left, tuple | list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, float):
        return type(left) is type(right) and left == right
    return type(left) is type(right) and left.dtype == right.dtype and np.array_equal(left, right)


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_comes_back_is_what_was_saved(name, folder):
    model, data = fitted(name), content(name, folder)
    again = load(folder / f"{name}.safetensors")
    assert type(again) is type(model) and set(vars(again)) == set(vars(model))
    for ask in EXAMPLES[name].asked:
        assert equal(ask(again), ask(model))
    save(again, folder / f"{name} again.safetensors")
    first, second = parts(data), parts((folder / f"{name} again.safetensors").read_bytes())
    assert first[0] == second[0] and first[1].keys() == second[1].keys()
    assert all(torch.equal(value, second[1][key]) for key, value in first[1].items() if not value.isnan().any())


GOES_ON = {
    "batches": lambda m: m.partial_fit(X[:40]).means_,
    "batches of heavy tails": lambda m: m.partial_fit(X[:40]).dofs_,
    "growing": lambda m: m.partial_fit(X[:40]).precisions_,
    "growing as published": lambda m: m.partial_fit(torch.tensor(X[:40])).precisions_,
    "growing regression": lambda m: m.partial_fit(INPUTS, OUTPUT).predict(INPUTS),
    "growing classifier": lambda m: m.partial_fit(X, WORDS).predict_proba(X),
    "labelled": lambda m: m.set_params(warm_start=True).fit(X, SOME).component_class_,
    "bayesian": lambda m: m.set_params(warm_start=True).fit(X).means_,
    "partitions": lambda m: m.recut(bic_margin=1e9),
    "both ways": lambda m: m.condition("y", OUTPUT[:, None]).mean,
    "dynamics": lambda m: m.simulate(X, 5, 3, random_state=0).rows,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", GOES_ON)
def test_what_comes_back_goes_on(name, folder):
    content(name, folder)
    assert equal(GOES_ON[name](load(folder / f"{name}.safetensors")), GOES_ON[name](deepcopy(fitted(name))))


# -- what is not believed ----------------------------------------------------------------------------------------------

FREE = {  # tensors of which another length, or numbers that are not finite, say nothing wrong
    "long": {"posterior_K_", "tried", "moves", "basins"},
    "wild": {"orders_", "plane_"},
}


def refused(data: bytes, folder: Path) -> str | None:
    """What `load` says of a file that it refuses."""
    path = folder / "changed.safetensors"
    path.write_bytes(data)
    try:
        load(path)
    except BadFile as error:
        return str(error)
    return None


def tensors_of(tensors: dict) -> list[str]:
    """Those of the fit, as parameters are what people chose; of long lists the first two."""
    return [name for name in tensors if name.startswith("fitted/") and not re.search(r"/([2-9]|\d\d)", name)]


def named(place: str, names: set[str]) -> bool:
    return bool(names & set(place.split("/")))


@pytest.mark.parametrize("name", EXAMPLES)
def test_tensors_that_are_wrong_are_refused(name, folder):
    header, tensors = parts(content(name, folder))
    for place in tensors_of(tensors):
        held = tensors[place]
        changed = {"lost": None, "of words": held.new_zeros(held.shape, dtype=torch.complex64)}
        changed |= {"of another rank": held[None]}
        alone = "peaks" in name and place == "fitted/labels_"  # nothing else has a line for each row
        if held.ndim and len(held) > 1 and not named(place, FREE["long"]) and not alone:
            changed |= {"cut": held[:-1].clone()}
        if held.is_floating_point() and held.numel() and not named(place, FREE["wild"]):
            nan, inf = held.clone(), held.clone()
            nan.view(-1)[-1], inf.view(-1)[0] = torch.nan, torch.inf
            changed |= {"nan": nan, "inf": inf}
        for what, value in changed.items():
            others = {key: item for key, item in tensors.items() if key != place}
            assert refused(joined(header, others if value is None else others | {place: value}), folder), (place, what)


JUNK = ["words", -3, 1e300, True, None, [], {}, {"tuple": []}, {"mixture": {}}, {"float": "nan"}, {"pickle": "gASV"}]


@pytest.mark.parametrize("name", EXAMPLES)
def test_attributes_that_are_lost_odd_or_of_other_types_are_refused(name, folder):
    header, tensors = parts(content(name, folder))
    fitted_ = header["fitted"]["dict"]
    optional = {"feature_names_in_", "_online", "cv_scores_", "concentration_posterior_"}
    for key in fitted_:
        own = {place for place in tensors if place.split("/")[:2] == ["fitted", key]}
        rest = {place: value for place, value in tensors.items() if place not in own}
        without = {other: item for other, item in fitted_.items() if other != key}
        gone = refused(joined(header | {"fitted": {"dict": without}}, rest), folder)
        assert gone or key in optional, key
        odd = header | {"fitted": {"dict": without | {key: {"tuple": [{"dict": {}}, "words"]}}}}
        assert refused(joined(odd, rest), folder), key
    for more in ("shell_", "__class__", "predict", "_private"):
        assert refused(joined(header | {"fitted": {"dict": fitted_ | {more: 1}}}, tensors), folder), more


def places(item: Any, at: tuple = ()) -> Iterator[tuple]:
    """Where things are in a header."""
    yield at
    for key, part in item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ():
        yield from places(part, (*at, key))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(EXAMPLES)), seed=st.integers(0, 10**6))
def test_whatever_stands_in_a_header_nothing_but_a_refusal_comes_of_it(name, seed, folder):
    """Any part of any header, in place of which stands junk or another part of some header."""
    rng = random.Random(seed)
    header, tensors = parts(content(name, folder))
    other = parts(content(rng.choice(sorted(EXAMPLES)), folder))[0]
    *way, last = rng.choice([at for at in places(header) if at])
    donor: Any = other
    for key in rng.choice(list(places(other))):
        donor = donor[key]
    inner: Any = header
    for key in way:
        inner = inner[key]
    inner[last] = rng.choice([*JUNK, donor, donor, donor])
    refused(joined(header, tensors), folder)  # or believed, where it says nothing wrong


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_covariance_that_is_none_is_refused(name, folder):
    header, tensors = parts(content(name, folder))
    words = {"chol", "precision", "precisions_", "covariances_", "precisions_cholesky_", "noise_variances_", "scale"}
    for place in tensors_of(tensors):
        if place.split("/")[-1] in words:
            assert refused(joined(header, tensors | {place: -tensors[place]}), folder), place


FUNCTIONS = {
    "selection": gmmlab.DeconvolvedGaussianMixture(2, selection=lambda x: 0.5 + 0 * x[:, 0], random_state=0),
    "gate_transform": LogisticMoE(2, gate_transform=torch.sin, **QUICK),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("parameter", FUNCTIONS)
def test_functions_are_refused_and_can_be_left_out(parameter, tmp_path):
    path = tmp_path / "model.safetensors"
    model = FUNCTIONS[parameter].fit(INPUTS, WORDS)
    asked = model.predict_proba(INPUTS)
    with pytest.raises(TypeError, match=rf"parameters/{parameter} is a function.*set_params\({parameter}=None\)"):
        save(model, path)
    function = getattr(model, parameter)
    save(model.set_params(**{parameter: None}), path)
    assert equal(load(path).set_params(**{parameter: function}).predict_proba(INPUTS), asked)


def test_a_selection_that_is_left_out_is_asked_for(tmp_path):
    model = gmmlab.DeconvolvedGaussianMixture(2, selection=lambda x: 0.5 + 0 * x[:, 0], random_state=0).fit(INPUTS)
    save(model.set_params(selection=None), tmp_path / "model.safetensors")
    with pytest.raises(BadData, match=r"no more .* set_params\(selection="):
        load(tmp_path / "model.safetensors").score(INPUTS)


def test_other_estimators_within_are_refused(tmp_path):
    model = GaussianMixture(3, random_state=0).fit(X).set_params(init_params=KMeans(3))
    with pytest.raises(TypeError, match="parameters/init_params is a KMeans, which a file cannot hold"):
        save(model, tmp_path / "model.safetensors")
    model.set_params(init_params="auto").note_ = "mine"
    with pytest.raises(ValueError, match="attributes that no fit sets: note_"):
        save(model, tmp_path / "model.safetensors")


OLD = Path(__file__).parent / "data"


@pytest.mark.parametrize("path", sorted(OLD.glob("*.safetensors")), ids=lambda path: path.stem)
def test_files_of_the_first_format_are_read(path):
    assert parts(path.read_bytes())[0]["format"] == 1
    expected = np.load(path.with_suffix(".npy"))
    assert np.allclose(load(path).score_samples(load_iris(as_frame=True).data), expected, rtol=1e-12, atol=0)
