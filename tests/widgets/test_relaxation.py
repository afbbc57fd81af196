"""Relaxation: what it shows of a semidefinite clustering, and that a session watches one to its end."""

from __future__ import annotations

import json
import math

import pytest
import torch

from gmmlab.clustering import SDPClustering
from gmmlab.data import shaped_groups
from gmmlab.plot.chart import Cells, Line, Table
from gmmlab.plot.relaxation import shares
from gmmlab.widgets import Relaxation

PATIENCE = 60


@pytest.fixture
def explorer():
    x, _ = shaped_groups(45, 3, 3, 9.0, torch.Generator().manual_seed(0))
    shown = SDPClustering(3, random_state=0).explore(x, panels=())
    yield shown
    shown.session.close()


def parts(panel):
    return list(panel.chart(panel.session.snapshot).frames())


def test_a_partition_is_a_map_of_blocks():
    x, y = shaped_groups(90, 3, 3, 9.0, torch.Generator().manual_seed(0))
    from gmmlab.clustering.sdp.affinities import Affinities
    from gmmlab.clustering.sdp.rounds import Refit, shrinkage
    from gmmlab.families import Full

    refit = Refit(x, 3, Full(), shrinkage(3), 0.0)
    u = Affinities.of(x, refit.partition(y).model.gaussian).factor(y)
    order = torch.randperm(90, generator=torch.Generator().manual_seed(1))
    share = shares(u[:, order], y[order])
    expected = (torch.arange(48)[:, None] // 16 == torch.arange(48) // 16).double()
    torch.testing.assert_close(share, expected)
    torch.testing.assert_close(shares(u, y, 1)[16:32, 16:32], torch.ones(16, 16, dtype=torch.float64))
    assert float(shares(u, y, 1)[:16].max()) == 0


def test_it_says_what_to_do_before_the_first_step(explorer):
    panel = Relaxation(explorer.session)
    assert "play" in panel.chart(explorer.session.snapshot).alt


def test_a_clustering_is_watched_to_its_certificate(explorer):
    explorer.session.play().wait(PATIENCE)
    panel = Relaxation(explorer.session)
    together, course, table = parts(panel)
    assert any(isinstance(mark, Cells) for mark in together.marks)
    gap = next(mark for mark in course.marks if isinstance(mark, Line) and mark.label == "gap a row")
    assert gap.y[-1] <= math.log10(1e-4) and len(gap.words) == len(gap.y)
    assert isinstance(table, Table) and "● certified" in table.cells[0][1]
    content, _ = panel.compose(explorer.session.snapshot, 1)
    assert content["error"] is None
    json.dumps(content, allow_nan=False)
    data, _ = panel._repr_mimebundle_()
    assert len(data["image/png"]) < 90_000
    assert explorer.session.result().k == 3


def test_it_can_be_begun_anew_and_paused(explorer):
    explorer.session.step().wait(PATIENCE)
    assert explorer.session.snapshot.step == 1
    explorer.session.reset().wait(PATIENCE)
    explorer.session.play().wait(PATIENCE)
    assert explorer.session.snapshot.play == "done"


def test_one_group_can_be_looked_at(explorer):
    explorer.session.play().wait(PATIENCE)
    panel = Relaxation(explorer.session, block=1)
    assert [option for option, _ in panel.controls()[0].options] == [-1, 0, 1, 2]
    whole = parts(Relaxation(explorer.session))[0].marks[0].share
    assert float(parts(panel)[0].marks[0].share.sum()) < float(whole.sum())
