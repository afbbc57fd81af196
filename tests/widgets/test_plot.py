"""Static pictures: right, deterministic, small, and without pyplot."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cases import STRUCTURES, blobs, random_mixture
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from PIL import Image

import gmmlab.plot as gp
from gmmlab import Gaussian, GaussianMixture, Mixture, StudentMixture
from gmmlab.algebra import marginal
from gmmlab.fit import plateau, run, whole
from gmmlab.gates import Constant, Noisy
from gmmlab.plot import density
from gmmlab.plot.picture import Pixels, _chosen, fitted
from gmmlab.plot.raster import opacity, radius_for, raster
from gmmlab.plot.style import (
    DASHES,
    DOUBT,
    FAINT,
    NOISE,
    PALETTES,
    UNMARKED,
    Rgb,
    colour,
    css,
    dash,
    ink,
    line,
    luminance,
    parse,
    style,
)
from gmmlab.score import combine

PALETTE = Path(__file__).parents[2] / "widgets" / "shared" / "palette.js"


@pytest.fixture
def x(rng):
    return blobs(rng, n=300, d=4)


@pytest.fixture
def model(x, rng):
    return random_mixture(STRUCTURES["VVV"], x, 3, rng)


def test_the_factor_is_the_principal_one_of_the_marginal(model):
    shown = gp.ellipses(model, (2, 0))
    cov = model.components.cov[:, [2, 0]][:, :, [2, 0]]
    assert torch.allclose(shown.factor @ shown.factor.mT, cov, atol=1e-12)
    lengths = shown.factor.norm(dim=1)
    assert torch.allclose(lengths, torch.linalg.eigvalsh(cov).flip(-1).sqrt())
    assert torch.allclose((shown.factor[..., 0] * shown.factor[..., 1]).sum(1), torch.zeros(3).double(), atol=1e-12)
    assert (shown.factor[:, 0, 0] >= 0).all(), "the long axis points right"
    assert (torch.linalg.det(shown.factor) > 0).all(), "the short one is a quarter turn ahead"
    assert torch.equal(shown.mean, model.components.mean[:, [2, 0]])


def test_the_marginal_of_the_ellipses_is_that_of_the_model(model):
    parts = model.components
    block = Gaussian.of(parts.mean[:, [1, 3]], parts.cov[:, [1, 3]][:, :, [1, 3]], parts.structure)
    marginal = model.replace(components=block)
    assert torch.allclose(gp.ellipses(model, (1, 3)).factor, gp.ellipses(marginal, (0, 1)).factor)


def test_an_outline_lies_at_its_radius(model):
    shown = gp.ellipses(model, (0, 1))
    curve = gp.outline(shown.mean[0], shown.factor[0], 2.0)
    inverse = torch.linalg.inv(shown.factor[0] @ shown.factor[0].mT)
    offset = curve - shown.mean[0]
    assert torch.allclose(((offset @ inverse) * offset).sum(1), torch.full((96,), 4.0).double())


@pytest.mark.parametrize("dims", [(0, 1), (3, 1)])
def test_a_new_block_keeps_the_matrix_definite_and_the_rest_conditionally(model, dims):
    cov = model.components.cov[0]
    factor = torch.tensor([[3.0, -0.2], [0.5, 0.4]], dtype=torch.float64)
    new = gp.with_block(cov, dims, factor)
    pair, rest = list(dims), [i for i in range(4) if i not in dims]
    assert torch.allclose(new[pair][:, pair], factor @ factor.mT)
    assert (torch.linalg.eigvalsh(new) > 0).all()
    assert torch.allclose(new[rest][:, rest], cov[rest][:, rest]), "the other columns keep their own covariance"

    def beyond(c):
        """What the other columns have beyond the shown pair."""
        return c[rest][:, rest] - c[rest][:, pair] @ torch.linalg.solve(c[pair][:, pair], c[pair][:, rest])

    assert torch.allclose(beyond(new), beyond(cov))
    same = gp.principal(cov[pair][:, pair][None])[0]  # any factor of the block will do
    assert torch.allclose(gp.with_block(cov, dims, same), cov)


def test_every_point_is_counted_where_it_is():
    xy = np.array([[0.5, 0.5], [0.5, 0.5], [9.5, 3.5], [99.0, 0.0]])
    colours = np.array([[200.0, 0, 0], [0, 100.0, 0], [0, 0, 250.0], [1.0, 1, 1]])
    image = raster(xy, colours, ((0.0, 10.0), (0.0, 4.0)), (10, 4), scale=0)
    assert image.shape == (4, 10, 4)
    assert image[3, 0, :3].tolist() == [100, 50, 0], "the mean colour, bottom left"
    assert image[0, 9, :3].tolist() == [0, 0, 250], "top right"
    assert image[3, 0, 3] > image[0, 9, 3] > 0, "two points are denser than one"
    assert np.count_nonzero(image[..., 3]) == 2


def test_a_few_points_are_discs_that_are_cut_at_the_edges():
    places = np.array([[14.5, 9.5], [18.5, 9.5], [0.5, 19.5]])  # two that overlap, and one in a corner
    colours = np.array([[200.0, 0, 0], [0, 100.0, 0], [0, 0, 250.0]])
    image = raster(places, colours, ((0.0, 30.0), (0.0, 20.0)), (30, 20), scale=1).astype(float)
    x, y = np.meshgrid(np.arange(30), np.arange(20))
    far = np.stack([np.hypot(x - i, y - j) for i, j in [(14, 10), (18, 10), (0, 0)]])
    cover = np.clip(radius_for(3) + 0.5 - far, 0, 1)
    np.testing.assert_array_equal(image[..., 3] > 0, cover.sum(0) > 0)
    seen = image[..., 3] > 0
    mean = np.einsum("phw,pc->hwc", cover, colours) / np.maximum(cover.sum(0), 1e-9)[..., None]
    np.testing.assert_allclose(image[seen, :3], mean[seen], atol=0.5)


def test_opacity_grows_with_weight():
    alpha = opacity(np.array([0.0, 0.5, 1.0, 2.0, 6.0]), 100)
    assert alpha[0] == 0
    assert np.all(np.diff(alpha) > 0)
    assert opacity(np.array([1.0] * 99 + [1e6]), 100)[-1] < 0.9401, "nothing is quite opaque"
    assert [radius_for(n) for n in (1, 200, 10**6)] == [3.0, 2.8, 0.0]


def flat(png):
    """The picture on a page of its own colour."""
    return Image.open(io.BytesIO(png)).convert("RGBA").convert("RGB")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_are_deterministic_and_small(x, model, theme):
    trace = [(0, -4.0), (1, -3.5), (2, -3.4)]
    first, second = (gp.scatter(x, model, dims=(0, 2), trace=trace, theme=theme).png() for _ in range(2))
    assert first == second
    assert len(first) <= 60_000
    image = flat(first)
    assert image.size == (1280, 840)
    paper = {"light": (255, 255, 255), "dark": (17, 20, 24)}[theme]
    assert max(abs(a - b) for a, b in zip(image.getpixel((1278, 2)), paper, strict=True)) <= 4
    shown = np.asarray(image).reshape(-1, 3)
    for k in range(3):
        near = np.abs(shown - np.array(colour(k, theme))).max(1) < 24
        assert near.sum() > 50, f"component {k} is not seen in {theme}"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("limit", [60_000, 4_000])
def test_a_picture_is_a_card_with_round_corners(x, model, theme, limit):
    card = Image.open(io.BytesIO(gp.scatter(x, model, theme=theme).png(limit))).convert("RGBA")
    opacity = np.asarray(card)[..., 3]
    radius = round(8 * card.size[0] / 640)
    for corner in (opacity, opacity[::-1], opacity[:, ::-1], opacity[::-1, ::-1]):
        assert corner[0, 0] == 0 and corner[radius, radius] == 255
        assert np.all(np.diff(corner[0, :radius].astype(int)) >= 0), "it grows towards the edge"
        assert np.any((corner[:radius, :radius] > 0) & (corner[:radius, :radius] < 255)), "and is smooth"
    assert opacity[radius:-radius].min() == opacity[:, radius:-radius].min() == 255
    seen = np.asarray(card)[..., :3][opacity < 255]
    assert len(np.unique(seen, axis=0)) == 1, "a page of the colour of the paper shows nothing of it"


def test_the_strip_is_the_climb_and_begins_where_the_plot_does(x, model):
    trace = [(0, -4.0), (1, -3.5), (2, -3.4)]
    plot, strip = gp.scatter(x, model, trace=trace, step=1).axes
    assert strip.get_lines()[0].get_xydata().tolist() == [list(map(float, point)) for point in trace]
    assert strip.collections[-1].get_offsets().tolist() == [[1.0, -3.5]], "the mark is at the step"
    assert strip.get_position().x0 == pytest.approx(plot.get_position().x0)
    assert strip.get_position().x1 == pytest.approx(plot.get_position().x1)
    (alone,) = gp.scatter(x, model, trace=trace[:1]).axes
    assert alone.get_position().y0 < plot.get_position().y0


@pytest.mark.parametrize("scale", [1, 2])
def test_points_are_copied_pixel_by_pixel_as_matplotlib_would_place_them(scale):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (63 * scale, 104 * scale, 4)).astype(np.uint8)  # not quite the size of the axes
    image[..., 3] = 255
    ours, theirs = (gp.Picture(size=(120, 80), paper="#ffffff") for _ in range(2))
    for shown, draw in ((ours, Pixels), (theirs, imshow)):
        axes = shown.panel((10, 10, 104.5, 63.5), style("light"))
        axes.set(xlim=(0, 1), ylim=(3, 5), xticks=[], yticks=[])
        draw(axes, image, zorder=1)
    assert np.array_equal(np.asarray(ours._drawn()), np.asarray(theirs._drawn()))
    assert ours.axes[0].get_xlim() == (0, 1) and ours.axes[0].get_ylim() == (3, 5)


def imshow(axes, image, zorder):
    axes.imshow(image, extent=(*axes.get_xlim(), *axes.get_ylim()), aspect="auto", interpolation="none", zorder=zorder)


@pytest.mark.parametrize("kind", ["pdf", "svg", "png"])
def test_a_picture_can_be_saved_as_matplotlib_saves_figures(x, model, kind):
    plain, rows = io.BytesIO(), io.BytesIO()
    gp.scatter(x[:1], model).savefig(plain, format=kind)
    gp.scatter(x, model).savefig(rows, format=kind)
    assert len(rows.getvalue()) > len(plain.getvalue()) + 1000, "with its points"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_few_colours_are_those_of_the_whole_picture_and_paper_stays(x, model, theme):
    sharp = gp.scatter(x, model, theme=theme)._drawn()
    few = np.asarray(_chosen(sharp, 248).convert("RGB")).astype(int)
    whole = np.asarray(sharp.quantize(248, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB"))
    seen = np.asarray(sharp).astype(int)
    paper = (seen == seen[0, 0]).all(-1)
    assert 0.3 < paper.mean() < 1
    assert (few[paper] == seen[0, 0]).all()
    assert np.square(few - seen).mean() <= 1.05 * np.square(whole - seen).mean()
    blank = _chosen(Image.new("RGB", (4, 3), (1, 2, 3)), 248)
    assert np.unique(np.asarray(blank.convert("RGB")).reshape(-1, 3), axis=0).tolist() == [[1, 2, 3]]


def test_a_picture_is_saved_with_care_only_where_that_is_needed(x, model):
    sharp, size = gp.scatter(x, model)._drawn(), (640, 420)
    quick = len(fitted(sharp, size, 10**6))
    careful = fitted(sharp, size, quick - 1)
    assert len(careful) < quick, "of the same colours"
    assert Image.open(io.BytesIO(careful)).size == (1280, 840)
    one, other = (flat(fitted(sharp, size, limit)) for limit in (10**6, quick - 1))
    assert np.array_equal(np.asarray(one), np.asarray(other))


def test_rows_of_noise_have_a_colour_of_their_own(x, model):
    noise, *components = (gp.scatter(x, model, labels=torch.full((300,), k)).png() for k in (-1, 0, 1, 2))
    assert noise not in components


def drawn(picture):
    """Texts of a picture, and whether a dashed line lies in its plot."""
    axes = picture.axes[0]
    key = axes.get_legend()
    return [] if key is None else [text.get_text() for text in key.get_texts()], len(axes.get_lines())


def test_the_key_names_noise_and_gaps(x, model):
    noisy = model.replace(gate=Noisy.around(x, model.weights, 0.25))
    holes = x.clone()
    holes[:40, 2] = torch.nan
    plain, lines = drawn(gp.scatter(x, model))
    assert plain == []
    assert drawn(gp.scatter(x, noisy)) == (["noise 25%"], lines)
    assert drawn(gp.scatter(x, model, labels=torch.full((300,), -1))) == (["noise"], lines)
    words, more = drawn(gp.scatter(holes, noisy, dims=(0, 2)))
    assert words == ["noise 25%", "beyond the dashes: no value"]
    assert more == lines + 1, "only along the column that has gaps"
    assert drawn(gp.scatter(holes, model)) == ([], lines), "not shown, not named"


def test_rows_without_a_value_are_seen_in_the_margin(x, model):
    holes = x.clone()
    holes[:, 1] = torch.where(x[:, 0] > x[:, 0].median(), torch.nan, x[:, 1])

    def coloured(rows):
        """Pixels with a colour below the dashed line and above the axis."""
        image = np.asarray(flat(gp.scatter(rows, model).png())).astype(int)
        return int((np.ptp(image[728:752, 130:1240], axis=2) > 60).sum())

    assert coloured(holes) > coloured(x) + 1000


def test_a_big_cloud_is_still_small(rng):
    x = torch.randn(200_000, 2, generator=rng)
    model = random_mixture(STRUCTURES["VVV"], x, 2, rng)
    assert len(gp.scatter(x, model).png()) <= 60_000


def test_a_trace_takes_steps_and_pairs(x, model):
    steps = list(run(model, whole(x), stop=plateau(1e-3)))
    pairs = [(step.i - 1, step.info.evidence) for step in steps]
    assert gp.trace(steps).png() == gp.trace(pairs).png()
    with pytest.raises(ValueError, match="no steps"):
        gp.trace([])


def test_a_picture_shows_itself_with_words(x, model):
    picture = gp.scatter(x, model, names=["a", "b", "c", "d"], dims=(1, 3))
    png, metadata = picture._repr_png_()
    assert png.startswith(b"\x89PNG")
    assert metadata["width"] == 640
    assert "300 points in b and d" in metadata["alt"]
    assert "component 3" in metadata["alt"]


def scores(*values):
    return gp.Scores(["full", "tied"], [1, 2, 3], np.array(values).reshape(2, 3))


def optima(**changes):
    fields = {"loglik": [-90.0, -95, -70], "starts": [7, 2, 1], "distance": [0.0, 0.3, 0.9]}
    return gp.Optima(**{k: np.array(v) for k, v in (fields | {"degenerate": [False, False, True]} | changes).items()})


def merged(k=6):
    noise = torch.randn(80, k, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return combine(torch.softmax(3 * noise, 1))


def shapes(k=3):
    means, covs = np.array([[-2.0, 0], [2, 0], [0, 3]])[:k], np.stack([np.diag([1.0, 0.3])] * k)
    return [("EEI", means, covs), ("VVV", torch.tensor(means), torch.tensor(covs) * 2)]


def fits(*loglik):
    values = loglik or (-30.0, -29.9, -20, -19.5, -19.4, -4)
    return list(zip(["EII", "VII", "EEE", "VEE", "EVE", "VVV"], [1, 3, 3, 5, 5, 9], values, strict=True))


CHOICE = {
    "map": lambda theme: gp.selection_map(scores(10.0, np.nan, 11.5, 90, np.inf, 12), theme=theme),
    "tree": lambda theme: gp.merge_tree(merged(), theme=theme),
    "small tree": lambda theme: gp.merge_tree(merged(1), theme=theme),
    "landscape": lambda theme: gp.landscape(optima(), theme=theme),
    "one optimum": lambda theme: gp.landscape(gp.Optima(*(field[:1] for field in optima())), theme=theme),
    "families": lambda theme: gp.covariance_families(shapes(), theme=theme),
    "parsimony": lambda theme: gp.parsimony(fits(), n=100, nested=[("EII", "VII"), ("EEE", "VVV")], theme=theme),
    "one fit": lambda theme: gp.parsimony(fits()[:1], theme=theme),
    "curves": lambda theme: gp.curves({"a": [(0, 1), (1, 2)], "b": [(0, 2), (2, 1)]}, x="x", y="y", theme=theme),
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", CHOICE)
def test_pictures_of_choosing_are_deterministic_small_and_on_their_paper(name, theme):
    first, second = (CHOICE[name](theme) for _ in range(2))
    assert first.png() == second.png() and len(first.png()) <= 60_000
    image = flat(first.png())
    paper = {"light": (255, 255, 255), "dark": (17, 20, 24)}[theme]
    assert max(abs(a - b) for a, b in zip(image.getpixel((2, 2)), paper, strict=True)) <= 4
    assert first.alt.endswith(".") and image.size == tuple(2 * side for side in first.size)


def test_words_are_inside_the_picture():
    """No label is cut off at an edge, however few the columns and however long the names."""
    pictures = [draw("light") for draw in CHOICE.values()]
    pictures.append(gp.selection_map(gp.Scores(["a long family name"], [10], np.array([[3.0]]))))
    for picture in pictures:
        canvas = FigureCanvasAgg(picture)
        canvas.draw()
        box = picture.get_tightbbox(canvas.get_renderer())  # in inches, with all that is drawn
        width, height = picture.get_size_inches()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, f"cut off: {picture.alt}"


def test_the_map_marks_best_near_and_refused():
    picture = CHOICE["map"]("light")
    assert picture.alt == "BIC of 6 models; the best is full with 1, 2 were refused."
    cells = picture.axes[0]
    assert [text.get_text() for text in cells.texts] == ["1.5", "80.0", "2.0"], "the best has a star"
    rings = [patch for patch in cells.patches if css(colour(1)) == to_hex(patch.get_edgecolor())]
    assert len(rings) == 2 and sum(patch.get_hatch() is not None for patch in cells.patches) == 2
    assert [text.get_text() for text in picture.texts] == ["★ best · ringed: within 2 of it · hatched: refused"]
    other = gp.selection_map(scores(10.0, np.nan, 11.5, 90, np.inf, 12), lower=False)
    assert "the best is tied with 1" in other.alt
    assert [text.get_text() for text in other.texts] == ["★ best · hatched: refused"], "the key names what is there"
    with pytest.raises(ValueError, match="All models were refused"):
        gp.selection_map(scores(*[np.nan] * 6))


def test_the_tree_has_a_leaf_for_each_component_and_a_mark_at_its_bend():
    tree = merged()
    picture = gp.merge_tree(tree)
    assert sorted(text.get_text() for text in picture.axes[0].texts) == list("123456")
    assert f"bends at {tree.elbow()} clusters" in picture.alt
    assert "bends" not in gp.merge_tree(merged(3)).alt


def test_the_landscape_is_measured_from_the_best_that_is_not_degenerate():
    picture = gp.landscape(optima())
    assert picture.alt == "3 optima of 10 starts; 7 starts found the best."
    assert [text.get_text() for text in picture.axes[0].texts] == ["7", "2"], "one start needs no number"
    assert not gp.landscape(optima(starts=[1, 1, 1])).axes[0].texts
    with pytest.raises(ValueError, match="All optima are degenerate"):
        gp.landscape(optima(degenerate=[True] * 3))


def test_parsimony_rings_what_bic_prefers_and_draws_all_that_is_as_good():
    picture = gp.parsimony(fits(), n=100, nested=[("EII", "VII"), ("EII", "unknown")])
    lines = picture.axes[0].get_lines()
    bic = {name: -2 * loglik + p * np.log(100) for name, p, loglik in fits()}
    best = min(bic, key=bic.get)
    assert best == "VVV" and f"BIC prefers {best}." in picture.alt
    ring = next(
        line for line in lines if to_hex(line.get_markeredgecolor()) == css(colour(1)) and line.get_marker() == "o"
    )
    assert (float(ring.get_xdata()[0]), float(ring.get_ydata()[0])) == (9.0, -4.0)
    (equal,) = [line for line in lines if line.is_dashed()]
    assert np.ptp(-2 * equal.get_ydata() + equal.get_xdata() * np.log(100) - bic[best]) == pytest.approx(0, abs=1e-9)
    assert sum(len(line.get_xdata()) == 2 for line in lines) == 2, "the dashed line, and one pair that is known"
    assert "BIC" not in gp.parsimony(fits()).alt


def test_parsimony_leaves_out_what_was_refused():
    assert "EVE" not in gp.parsimony(fits(-30.0, -29, -20, -19, np.nan, -4)).alt
    with pytest.raises(ValueError, match="no models with a finite log-likelihood"):
        gp.parsimony(fits(*[np.nan] * 6))


def test_names_of_parsimony_lie_over_one_another_nowhere():
    picture = gp.parsimony(fits(), n=100)
    canvas = FigureCanvasAgg(picture)
    canvas.draw()
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in picture.axes[0].texts]
    assert len(boxes) == 6
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_curves_are_told_apart_and_named_and_what_cannot_be_drawn_is_left_out():
    rising = [(1, 2.0), (2, 3.0), (3, np.nan), (4, -1.0)]
    picture = gp.curves({"a": rising, "b": [(1, 1.0), (9, 5.0)]}, x="passes", y="likelihood", log=True)
    first, second = picture.axes[0].lines
    assert first.get_xydata().tolist() == [[1, 2], [2, 3]]
    assert first.get_color() != second.get_color() and first.get_linestyle() != second.get_linestyle()
    assert [text.get_text() for text in picture.axes[0].get_legend().get_texts()] == ["a", "b"]
    assert picture.alt == "likelihood against passes: a ends at 3, b ends at 5."
    plain = gp.curves({"a": rising}, x="x", y="y")
    assert plain.axes[0].lines[0].get_xydata().tolist() == [[1, 2], [2, 3], [4, -1]]
    with pytest.raises(ValueError, match="'c' has no pairs"):
        gp.curves({"a": rising, "c": [(0, 1)]}, x="x", y="y", log=True)
    with pytest.raises(ValueError, match="no curves"):
        gp.curves({}, x="x", y="y")


def test_the_key_of_curves_stands_where_none_of_them_is_or_beside_them():
    rng = np.random.default_rng(0)
    everywhere = {f"course {i}": list(enumerate(rng.normal(size=60))) for i in range(4)}
    for named, beside in (({"a": [(0, 0.0), (9, 1.0)]}, False), (everywhere, True)):
        picture = gp.curves(named, x="x", y="y", size=(520, 260))
        FigureCanvasAgg(picture).draw()
        key, panel = picture.axes[0].get_legend().get_window_extent(), picture.axes[0].bbox
        assert key.overlaps(panel) != beside
        assert picture.bbox.x1 - 2 * 14 < key.x1 < picture.bbox.x1 or not beside


def test_what_is_counted_has_no_ticks_between():
    for last, counted in ((3, True), (2.5, False)):
        picture = gp.curves({"a": [(0, 1.0), (last, 2.0)]}, x="sweep", y="groups", size=(440, 250))
        picture.png()
        assert all(float(tick).is_integer() for tick in picture.axes[0].get_xticks()) == counted


def test_every_ellipse_is_inside_its_panel():
    for axes in gp.covariance_families(shapes()).axes:
        for patch in axes.patches:
            (x, y), w, h = patch.center, patch.width / 2, patch.height / 2
            assert axes.get_xlim()[0] < x - w and x + w < axes.get_xlim()[1]
            assert axes.get_ylim()[0] < y - h and y + h < axes.get_ylim()[1]
    with pytest.raises(ValueError, match="no families"):
        gp.covariance_families([])


def test_constant_columns_can_be_drawn(model):
    x = torch.ones(5, 4, dtype=torch.float64)
    assert gp.scatter(x, model).png()


def test_an_unknown_theme_is_refused(x, model):
    with pytest.raises(ValueError, match="'light', 'dark'"):
        gp.scatter(x, model, theme="sepia")


def test_pyplot_is_never_imported():
    code = (
        "import sys, torch, gmmlab.plot as gp; from gmmlab import Gaussian, Mixture; from gmmlab.gates import Constant;"
        "print('matplotlib' in sys.modules);"
        "model = Mixture(Gaussian.of(torch.zeros(1, 2), torch.eye(2)[None]), Constant.of(torch.ones(1)));"
        "gp.scatter(torch.randn(20, 2), model).png();"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_without_matplotlib_one_is_told_what_to_install():
    code = "import sys; sys.modules['matplotlib'] = None; import gmmlab.plot as gp; gp.scatter"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'gmmlab[lab]'" in done.stderr


def test_the_palette_is_that_of_the_widgets():
    source = PALETTE.read_text()
    for name, known in (("grey", NOISE), ("unmarked", UNMARKED)):
        found = re.search(name + r" = .*\? \[([\d, ]+)\] : \[([\d, ]+)\]\)", source)
        assert [tuple(int(part) for part in found[i].split(",")) for i in (1, 2)] == [known["dark"], known["light"]]
    ends = re.search(r"DOUBT = \{ light: (.*), dark: (.*) \}", source)
    assert [json.loads(ends[i]) for i in (1, 2)] == [[list(end) for end in DOUBT[theme]] for theme in ("light", "dark")]
    faint = re.search(r"FAINT = \{ light: (.*), dark: (.*) \}", source)
    assert [tuple(json.loads(faint[i])) for i in (1, 2)] == [FAINT["light"], FAINT["dark"]]
    found = re.findall(r'"([^"]*)"', re.search(r"DASHES = \[([^\]]*)\]", source).group(1))
    assert [tuple(float(part) for part in dashes.split()) for dashes in found] == [*DASHES]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node to run the other half")
@pytest.mark.parametrize("name", PALETTES)
def test_colours_are_those_of_the_widgets(name: str):
    script = f"""
        const p = await import({json.dumps(PALETTE.as_uri())});
        const ks = [...Array(60).keys()];
        const look = ([theme, hues]) => [theme, ks.map((k) => [
            p.colour(k, hues), p.line(k, theme, hues), p.dash(k), p.ink(p.colour(k, hues))])];
        console.log(JSON.stringify(Object.fromEntries(Object.entries({json.dumps(PALETTES[name])}).map(look))));
    """
    done = subprocess.run(["node", "--input-type=module", "-e", script], capture_output=True, text=True, check=True)
    for theme, theirs in json.loads(done.stdout).items():
        look = style(theme, name)
        for k, (their_colour, their_line, their_dash, their_ink) in enumerate(theirs):
            assert list(colour(k, look)) == their_colour
            assert list(line(k, look)) == their_line
            assert list(dash(k)) == [float(part) for part in their_dash.split()]
            assert ink(colour(k, look)) == their_ink


def contrast(one: Rgb, other: Rgb) -> float:
    """Of two colours (WCAG 2)."""
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PALETTES)
def test_components_of_a_palette_stand_out_and_differ(name: str, theme: str):
    look = style(theme, name)
    paper = parse(look.paper)
    for k in range(len(look.hues)):
        assert contrast(colour(k, look), paper) > 2.4
        assert contrast(colour(k, look), parse(ink(colour(k, look)))) > 4
    assert len({(colour(k, look), dash(k)) for k in range(50)}) == 50


def test_a_palette_may_be_ones_own():
    look = style("dark", ["#112233", "#AABBCC"])
    assert [css(colour(k, look)) for k in range(2)] == ["#112233", "#aabbcc"]
    assert colour(2, look) != colour(0, look)  # the next round
    assert style(look) == look


@pytest.mark.parametrize("palette", ["viridis", [], ["red"], ["#12345"], 3])
def test_what_is_no_palette_is_refused(palette: Any):
    with pytest.raises(ValueError, match="expected 'okabe', 'tol' or a list of colours"):
        style("light", palette)


def test_colours_are_written_for_the_web():
    assert css(colour(0)) == "#0072b2"


def test_contours_of_one_gaussian_are_its_ellipses():
    mean, cov = torch.tensor([[1.0, 2.0, 3.0]]).double(), torch.diag(torch.tensor([4.0, 9.0, 1.0])).double()[None]
    model = Mixture(Gaussian.of(mean, cov), Constant.of(torch.ones(1)))
    grid = density.log_density(model, (2, 0), ((3.0, 3.0 + 2.0), (1.0, 1.0 + 4.0)), (2, 2))
    tops = density.levels(model, (2, 0))
    assert float(grid[0, 1]) == pytest.approx(tops[density.RADII.index(2.0)]), "two standard deviations along column 2"
    assert float(grid[1, 0]) == pytest.approx(tops[density.RADII.index(2.0)]), "and along column 0"


def test_contours_keep_noise_and_heavy_tails():
    x = blobs(torch.Generator().manual_seed(0), n=200, d=3)
    window = ((-3.0, 3.0), (-2.0, 4.0))
    noisy = GaussianMixture(2, noise=0.2, random_state=0).fit(x).mixture_
    points = torch.cartesian_prod(torch.linspace(-3, 3, 5).double(), torch.linspace(-2, 4, 4).double())
    assert torch.allclose(
        density.log_density(noisy, (0, 2), window, (4, 5)).T.reshape(-1), marginal(noisy, [0, 2]).log_prob(points)
    )
    heavy = StudentMixture(2, dof=3.0, random_state=0).fit(x).mixture_
    far = density.log_density(heavy, (0, 1), ((90.0, 100.0), (90.0, 100.0)))
    assert float(far.min()) > -60, "a Gaussian would be at thousands"
