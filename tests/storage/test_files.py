"""Models in files: what comes back is what was saved, and nothing else is believed."""

from __future__ import annotations

import gzip
import io
import json
import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from safetensors.torch import load as read
from safetensors.torch import save as write
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

from gmmlab import FactorMixture, GaussianMixture, StudentMixture
from gmmlab.errors import BadFile
from gmmlab.families import Blocks
from gmmlab.storage import load, save
from gmmlab.storage.codecs import decode, encode

FRAME = load_iris(as_frame=True).data
X = FRAME.to_numpy()
KINDS = ["full", "tied", "diag", "spherical"]


def equal(left, right) -> bool:
    if isinstance(left, np.ndarray | torch.Tensor):
        return type(left) is type(right) and left.dtype == right.dtype and np.array_equal(left, right, equal_nan=False)
    return type(left) is type(right) and left == right


# -- what is saved comes back ------------------------------------------------------------------------------------------

ROWS = {
    "frame": FRAME,
    "array": X,
    "float32": X.astype(np.float32),
    "tensor": torch.tensor(X),
    "float32 tensor": torch.tensor(X, dtype=torch.float32),
}


MODELS = {kind: GaussianMixture(3, covariance_type=kind, random_state=0) for kind in KINDS} | {
    "blocks": GaussianMixture(3, covariance_type=Blocks(((0, 2), (1, 3))), random_state=0),
    "noise": GaussianMixture(2, noise=True, random_state=0),
    "student": StudentMixture(2, random_state=0),
    "student, given dof": StudentMixture(2, dof=5.0, covariance_type="VVI", random_state=0),
    "student, common dof, noise": StudentMixture(2, dof="common", noise=0.1, random_state=0),
    "factors": FactorMixture(2, n_factors=2, random_state=0),
    "factors, one variance, noise": FactorMixture(2, noise_covariance="spherical", noise=True, random_state=0),
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("rows", ROWS)
def test_round_trip_is_exact(kind, rows, tmp_path):
    model = clone(MODELS[kind]).fit(ROWS[rows])
    save(model, tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert set(vars(again)) == set(vars(model))
    for name, value in vars(model).items():
        assert equal(getattr(again, name), value), name
    for method in ("predict_proba", "score_samples", "predict"):
        assert equal(getattr(again, method)(ROWS[rows]), getattr(model, method)(ROWS[rows]))
    assert all(equal(left, right) for left, right in zip(again.sample(5), model.sample(5), strict=True))
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_names_of_columns_are_kept_and_warm_start_goes_on(tmp_path):
    path = tmp_path / "model.safetensors"
    model = GaussianMixture(2, random_state=0, warm_start=True).fit(FRAME)
    save(model, path)
    with pytest.raises(ValueError, match="feature names"):
        load(path).predict(FRAME.rename(columns=str.upper))
    again = load(path)
    assert equal(again.fit(FRAME).means_, model.fit(FRAME).means_)
    save(again, path)  # over the old file
    assert equal(load(path).means_, again.means_)


def test_given_parameters_and_random_states_are_kept(tmp_path):
    first = GaussianMixture(2, random_state=0).fit(X)
    state = np.random.RandomState(3)
    state.normal(size=3)  # an odd number: one normal is kept back
    model = GaussianMixture(
        n_components=np.int64(2),
        means_init=torch.tensor(first.means_),
        weights_init=[0.5, 0.5],
        precisions_init=np.asfortranarray(first.precisions_),
        tol=np.float32(1e-3),
        random_state=state,
    ).fit(X)
    save(model, tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors").get_params()
    assert isinstance(again["means_init"], torch.Tensor) and again["weights_init"] == [0.5, 0.5]
    assert np.array_equal(again["precisions_init"], model.precisions_init)
    assert again["tol"] == np.float32(1e-3) and again["n_components"] == 2
    assert np.array_equal(again["random_state"].normal(size=5), state.normal(size=5))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        0.1,
        -0.0,
        1e-320,
        float("inf"),
        "ä",
        [1, [2.5]],
        (1, (2,)),
        {"a": [None]},
        np.arange(3, dtype=">i4"),
    ],
)
def test_values_survive_json(value):
    tensors: dict[str, torch.Tensor] = {}
    again = decode(json.loads(json.dumps(encode(value, "here", tensors), allow_nan=False)), tensors)
    assert np.array_equal(again, value) if isinstance(value, np.ndarray) else repr(again) == repr(value)
    assert not tensors


def test_axes_keep_their_order_in_memory():
    """By which products are rounded: a transposed factor must come back transposed."""
    kept = torch.arange(24.0).view(2, 3, 4)
    for given in (kept, kept.mT, kept.permute(2, 0, 1), kept[:, :1].mT, kept[:, ::2], kept[:0], torch.tensor(1.0)):
        for value in (given, given.numpy()):
            tensors: dict[str, torch.Tensor] = {}
            again = decode(json.loads(json.dumps(encode(value, "here", tensors))), tensors)
            assert type(again) is type(value) and np.array_equal(again, value)
            dense = torch.as_tensor(value).clone(memory_format=torch.preserve_format)
            assert torch.as_tensor(again).stride() == dense.stride() or dense.is_contiguous()


# -- what cannot be saved ----------------------------------------------------------------------------------------------


def test_what_cannot_be_saved_gets_a_sentence(tmp_path):
    path = tmp_path / "model.safetensors"
    model = GaussianMixture(2, random_state=0).fit(X)
    with pytest.raises(NotFittedError):
        save(GaussianMixture(2), path)
    with pytest.raises(TypeError, match=r"A KMeans cannot be stored; expected one of .*GaussianMixture"):
        save(KMeans(2).fit(X), path)
    with pytest.raises(ValueError, match=r"'model.pkl'; expected a name that ends in .safetensors"):
        save(model, tmp_path / "model.pkl")
    with pytest.raises(FileNotFoundError, match="no folder"):
        save(model, tmp_path / "nowhere" / "model.safetensors")
    model.set_params(random_state=np.random.default_rng(0))
    with pytest.raises(TypeError, match="parameters/random_state is a Generator, which a file cannot hold"):
        save(model, path)
    assert list(tmp_path.iterdir()) == []


# -- what is not believed ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("saved") / "model.safetensors"
    save(GaussianMixture(3, random_state=0).fit(FRAME), path)
    return path.read_bytes()


def parts(content: bytes) -> tuple[dict, dict]:
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return json.loads(header["__metadata__"]["gmmlab"]), read(content)


def changed(content: bytes, change) -> bytes:
    header, tensors = parts(content)
    change(header, tensors)
    return write(tensors, {"gmmlab": json.dumps(header)})


def refused(content: bytes, folder: Path, match: str) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadFile, match=match):
        load(path)


class Boom:
    """Unpickled, it would be heard."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


def npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.arange(3))
    return file.getvalue()


def torch_file() -> bytes:
    file = io.BytesIO()
    torch.save({"a": torch.zeros(2)}, file)
    return file.getvalue()


FOREIGN = {
    "pickle": (lambda: pickle.dumps(Boom()), "is a pickle, which could run any code"),
    "npz": (npz, "is a zip archive"),
    "torch": (torch_file, "is a zip archive"),
    "gzip": (lambda: gzip.compress(pickle.dumps(Boom())), "is a gzip file"),
    "text": (lambda: b"weights, means\n1, 2\n", "is no safetensors file"),
    "json": (lambda: b'{"class": "GaussianMixture"}', "is JSON text"),
    "empty": (lambda: b"", "is empty"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_other_files_are_refused_unopened(name, tmp_path):
    make, sentence = FOREIGN[name]
    refused(make(), tmp_path, sentence + ".*; expected a file that save")


@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("bz2", 3), ("xz", 3)])
def test_joblib_is_refused_unopened(compress, tmp_path):
    joblib.dump(Boom(), tmp_path / "model.safetensors", compress=compress)
    with pytest.raises(BadFile, match="a pickle"):
        load(tmp_path / "model.safetensors")


def test_no_file():
    with pytest.raises(FileNotFoundError, match=r"no file 'nowhere\.safetensors'"):
        load("nowhere.safetensors")


def test_files_cut_short_anywhere_are_refused(content, tmp_path):
    for size in (4, 8, 9, 100, len(content) // 2, len(content) - 1):
        refused(content[:size], tmp_path, "expected a file that save")
    refused(content[:-1], tmp_path, "cut short, or damaged")
    refused(content + b"\0", tmp_path, "cut short, or damaged")


def put(part: str, name: str, value):
    return lambda header, _: header[part]["dict"].update({name: value})


def drop(part: str, name: str):
    def change(header, tensors):
        header[part]["dict"].pop(name)
        tensors.pop(f"{part}/{name}", None)

    return change


def tensor(name: str, change):
    return lambda _, tensors: tensors.update({f"fitted/{name}": change(tensors[f"fitted/{name}"]).contiguous()})


TAMPERED = {
    "newer": (lambda header, _: header.update(format=3), "has format 3, written by gmmlab .* reads formats up to 2"),
    "no format": (lambda header, _: header.pop("format"), "does not say its format"),
    "class": (lambda header, _: header.update({"class": "os.system"}), "holds a 'os.system', which is unknown here"),
    "class kind": (lambda header, _: header.update({"class": ["GaussianMixture"]}), "unknown here"),
    "no parameters": (lambda header, _: header.pop("parameters"), "'parameters' is missing"),
    "parameters kind": (lambda header, _: header.update(parameters=[1]), "can be trusted"),
    "unknown parameter": (put("parameters", "shell", "rm"), "parameters are not those of this version.*: shell"),
    "lost parameter": (drop("parameters", "tol"), "parameters are not those of this version.*: tol"),
    "bad parameter": (put("parameters", "tol", -1.0), "'tol' parameter .* must be a float in the range"),
    "wrong k": (put("parameters", "n_components", 4), r"weights_ has the shape \(3,\), expected \(4,\)"),
    "other type": (put("parameters", "covariance_type", "diag"), r"covariances_ has the shape \(3, 4, 4\), expected"),
    "lost attribute": (drop("fitted", "means_"), "has no means_"),
    "private attribute": (put("fitted", "__dict__", {"dict": {}}), "attributes that no fit sets: __dict__"),
    "method": (put("fitted", "mixture_", 1), "attributes that no fit sets: mixture_"),
    "unknown kind": (put("fitted", "n_iter_", {"pickle": "gASV"}), "unknown kind 'pickle'"),
    "no tensor": (put("fitted", "means_", {"array": "elsewhere"}), "'elsewhere' is missing"),
    "number for an array": (put("fitted", "weights_", 1.0), r"weights_ is of type float, expected an array \(3,\)"),
    "extra tensor": (lambda _, tensors: tensors.update(more=torch.zeros(2)), "belong nowhere: more"),
    "means cut": (tensor("means_", lambda t: t[:, :3]), r"means_ has the shape \(3, 3\), expected \(3, 4\)"),
    "nan": (tensor("means_", lambda t: t * torch.nan), "means_ contains NaN or inf"),
    "weights": (tensor("weights_", lambda t: 2 * t), "expected numbers of at least 0 that sum to one"),
    "negative weights": (tensor("weights_", lambda t: t - t.sum() * torch.tensor([2, -1, -1])), "at least 0"),
    "not positive": (tensor("precisions_cholesky_", lambda t: -t), "diagonal that is not positive"),
    "not positive definite": (tensor("covariances_", lambda t: -t), "do not belong together"),
    "zero factor": (tensor("precisions_cholesky_", lambda t: 0 * t), "can be trusted"),
    "inconsistent": (tensor("covariances_", lambda t: 1.01 * t), "do not belong together"),
    "names": (put("fitted", "feature_names_in_", {"names": ["a"]}), "feature_names_in_ has the shape .* expected .4"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_changed_files_are_refused(name, content, tmp_path):
    change, sentence = TAMPERED[name]
    refused(changed(content, change), tmp_path, sentence)


OTHERS = {
    "student": (
        StudentMixture(2, random_state=0),
        {
            "lost attribute": (drop("fitted", "dofs_"), "has no dofs_"),
            "cut": (tensor("dofs_", lambda t: t[:1]), r"dofs_ has the shape \(1,\), expected \(2,\)"),
            "negative": (tensor("dofs_", lambda t: -t), "dofs_ has numbers that are not above 0"),
            "nan": (tensor("dofs_", lambda t: t * torch.nan), "dofs_ contains NaN or inf"),
            "inconsistent": (tensor("covariances_", lambda t: 1.01 * t), "do not belong together"),
            "bad parameter": (put("parameters", "dof", "few"), "'dof' parameter"),
            "other class": (lambda header, _: header.update({"class": "GaussianMixture"}), "parameters .*: dof"),
        },
    ),
    "factors": (
        FactorMixture(2, n_factors=2, noise=True, random_state=0),
        {
            "lost attribute": (drop("fitted", "loadings_"), "has no loadings_"),
            "other q": (
                put("parameters", "n_factors", 1),
                r"loadings_ has the shape \(2, 4, 2\), expected \(2, 4, 1\)",
            ),
            "negative": (tensor("noise_variances_", lambda t: -t), "noise_variances_ has numbers that are not above 0"),
            "nan": (tensor("loadings_", lambda t: t * torch.nan), "loadings_ contains NaN or inf"),
            "property": (put("fitted", "covariances_", 1.0), "attributes that no fit sets: covariances_"),
            "weights": (tensor("weights_", lambda t: 2 * t), "that sum to one less the noise's"),
            "no share": (drop("fitted", "noise_weight_"), "can be trusted.*noise_weight_"),
            "box cut": (tensor("noise_box_", lambda t: t[:, :2]), r"noise_box_ has the shape \(2, 2\)"),
            "box turned": (tensor("noise_box_", lambda t: t.flip(0)), "noise_box_ has no volume"),
        },
    ),
}


@pytest.fixture(scope="module")
def others(tmp_path_factory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("others") / "model.safetensors"
    found = {}
    for name, (model, _) in OTHERS.items():
        save(clone(model).fit(X), path)
        found[name] = path.read_bytes()
    return found


@pytest.mark.parametrize(("name", "what"), [(name, what) for name, (_, changes) in OTHERS.items() for what in changes])
def test_changed_files_of_other_models_are_refused(name, what, others, tmp_path):
    change, sentence = OTHERS[name][1][what]
    refused(changed(others[name], change), tmp_path, sentence)


def test_the_unchanged_file_is_not(content, tmp_path):
    """The changes above, not the way they are made, are what is refused."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(changed(content, lambda *_: None))
    assert load(path).predict(FRAME).shape == (150,)


def test_tensors_of_others_and_broken_headers_are_refused(tmp_path):
    refused(write({"a": torch.zeros(2)}), tmp_path, "holds tensors, but no model of gmmlab")
    refused(write({"a": torch.zeros(2)}, {"gmmlab": "{"}), tmp_path, "header of model.safetensors is damaged")
    refused(write({"a": torch.zeros(2)}, {"gmmlab": "[" * 100_000}), tmp_path, "damaged|format")
    refused(write({"a": torch.zeros(2)}, {"gmmlab": "3"}), tmp_path, "does not say its format")
