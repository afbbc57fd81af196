"""The posterior of labels within what is known of them: exact, or refused."""

from __future__ import annotations

import torch
from torch.nn.functional import one_hot

from gmmlab.axes import Bool, Float, Int, Tensor
from gmmlab.errors import BadData
from gmmlab.fit.known import Known
from gmmlab.kernels.links import NEVER, Web, labelled

LARGEST = 1 << 22  # numbers of a table over which linked chunklets are summed


def restricted(
    outcomes: Float[Tensor, "m j"], facts: Known, told: Int[Tensor, "m"], k: int
) -> tuple[Float[Tensor, "m j"], Float[Tensor, "m"]]:
    """Responsibilities and evidence of the rows `told`, in rising order, of which something is known.

    `outcomes` are their log densities together with each of k components, and with none where there is one more column,
    in float64 and times the weight of the row. The evidence of linked rows is handed out to them in equal parts. Raises
    `BadData` for a label of no component, links that k components cannot keep, and links too dense to be summed over.
    """
    _check_labels(facts.labels, k)
    label = facts.labels.to(told.device)[told].clamp(min=0)
    resp = one_hot(label, outcomes.shape[1]).to(outcomes)
    evidence = outcomes.gather(1, label[:, None]).squeeze(1)
    if len(facts.rows) == 0:
        return resp, evidence
    at, chunklet = torch.searchsorted(told, facts.rows.to(told.device)), facts.chunklet.to(told.device)
    size = torch.bincount(chunklet)
    table = outcomes.new_zeros(len(size), outcomes.shape[1]).index_add_(0, chunklet, outcomes[at])
    table[tuple(facts.ruled_out.to(told.device).T)] = NEVER
    shared, parts = _linked(table, facts, torch.arange(table.shape[1], device=told.device) >= k)
    resp[at], evidence[at] = shared[chunklet], (parts / size)[chunklet]
    return resp, evidence


def _linked(
    table: Float[Tensor, "c j"], facts: Known, alike: Bool[Tensor, "j"]
) -> tuple[Float[Tensor, "c j"], Float[Tensor, "c"]]:
    """Responsibilities of chunklets, and the evidence of each web in equal parts."""
    resp, evidence = torch.empty_like(table), table.new_empty(len(table))
    for web, chunklets in facts.nets:
        for part in chunklets.to(table.device).split(_at_once(web, table.shape[1], facts, chunklets[0])):
            resp[part], log_z = labelled(table[part], web, alike)
            evidence[part] = (log_z / web.size)[:, None].expand(part.shape)
            if stuck := (log_z < NEVER / 2).nonzero().flatten().tolist():
                raise BadData(
                    f"No labels of {int((~alike).sum())} components keep all links and labels of rows "
                    f"{_rows(facts, part[stuck[0]])}; expected fewer unlike rows, or components with a weight. Take a "
                    "link back."
                )
    return resp, evidence


def _at_once(web: Web, j: int, facts: Known, chunklets: Int[Tensor, "s"]) -> int:
    """How many such webs to sum over in one go. Raises `BadData` where one is too many."""
    if j**web.width > LARGEST:
        raise BadData(
            f"Cannot-links tie the rows {_rows(facts, chunklets)} together so densely that the exact sum over their "
            f"labels takes a table of {j}^{web.width} numbers; expected at most {LARGEST:,}. Give some of them a "
            "label, or take links back."
        )
    return int(LARGEST // j**web.width)


def _check_labels(labels: Int[Tensor, "n"], k: int) -> None:
    if beyond := (labels >= k).nonzero().flatten().tolist():
        raise BadData(
            f"Row {beyond[0]} has the label {int(labels[beyond[0]])}; expected one of the {k} components, numbered "
            f"0 to {k - 1}, or -1 for unknown."
        )


def _rows(facts: Known, chunklets: Int[Tensor, "s"]) -> str:
    members = facts.of
    rows = sorted(row for chunklet in chunklets.tolist() for row in members[chunklet])
    return ", ".join(map(str, rows[:6])) + (", ..." if len(rows) > 6 else "")
