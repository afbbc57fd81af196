"""Linear experts of one output whose noise grows or shrinks with their inputs.

    log N(y | a_k' x + b_k, s_k(x)),    log s_k(x) = u_k' z,    z = (1, (x - origin) / scale)

A refit moves the lines or the noise, in turn, so that the likelihood never falls: lines by least squares, weighted by
responsibility over s_k(x); noise by a scoring step, as of a regression of the squared residuals e^2 with Gamma errors
and a logarithmic link,

    gradient = 1/2 Z' r (e^2 / s - 1)      information = 1/2 Z' r Z      curvature = 1/2 Z' r (e^2 / s) Z

as far along its direction D as is safe: the third derivative is at most R = max |D' z| times the second, as in
`kernels/multinomial.py`. See Meng and Rubin (1993) for refits in turn, and Smyth (1989), "Generalized linear models
with varying dispersion".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch

from gmmlab.axes import Float, Int, Tensor
from gmmlab.families.linear import LinearGaussian
from gmmlab.kernels.chunks import Buffers
from gmmlab.record import Record, shared, static
from gmmlab.stats import Additive, Moments

_HALVINGS = 40  # of a step that would take the noise below its floor


class Noise(Additive):
    """Derivatives of the expected log-likelihood in the coefficients of the log variances, at the model they are of."""

    w: Float[Tensor, "k"]
    gradient: Float[Tensor, "k c"]
    information: Float[Tensor, "k c c"]
    curvature: Float[Tensor, "k c c"]
    at: Float[Tensor, "k c"] = shared()
    reach: Float[Tensor, "c"] = shared()

    def _fieldwise(self, combine: Callable[[Any, Any], Any], other: Noise) -> Noise:
        if other.at is not self.at and not torch.equal(other.at, self.at):
            raise ValueError("The statistics were taken at experts of other noise: take all of them at the same.")
        return super()._fieldwise(combine, other).replace(reach=torch.maximum(self.reach, other.reach))


class ScaledLinear(Record):
    """Lines, and log variances `noise` (k, 1 + p); `turn` says which of them the next refit moves.

    `lines` are linear experts of one output, whose own noise is not looked at but for its `floor`: no variance is
    refitted to less, within the range of the rows.
    """

    lines: LinearGaussian
    noise: Float[Tensor, "k c"]
    scale: Float[Tensor, "p"] = shared()
    turn: bool = static(default=False)  # of the noise

    @classmethod
    def near(
        cls,
        rows: Float[Tensor, "n d"],
        resp: Float[Tensor, "n k"],
        *,
        inputs: Sequence[int],
        outputs: Sequence[int],
        floor: float = 0.0,
    ) -> ScaledLinear:
        """Experts refitted to responsibilities, each with one variance to begin with."""
        if len(outputs) != 1:
            raise ValueError(f"There are {len(outputs)} outputs; expected one, whose noise changes with the inputs.")
        lines = LinearGaussian.near(rows, resp, inputs=inputs, outputs=outputs, floor=floor)
        x = rows[:, list(inputs)].double()
        spread = (x - x.mean(0)).square().mean(0).sqrt()
        noise = torch.cat([lines.cov[:, 0].log(), torch.zeros_like(lines.coef[:, 0])], 1)
        return cls(lines, noise, torch.where(spread > 0, spread, torch.ones_like(spread)))

    @property
    def k(self) -> int:
        """Number of experts."""
        return self.lines.k

    @property
    def d(self) -> int:
        """Number of columns of a row."""
        return self.lines.d

    @property
    def q(self) -> int:
        """Number of outputs: one."""
        return self.lines.q

    @property
    def origin(self) -> Float[Tensor, "d"]:
        """A point near the rows."""
        return self.lines.origin

    @property
    def coef(self) -> Float[Tensor, "k 1 p"]:
        """Slopes of the lines."""
        return self.lines.coef

    @property
    def intercept(self) -> Float[Tensor, "k 1"]:
        """The lines at x = 0."""
        return self.lines.intercept

    @property
    def log_variance(self) -> Float[Tensor, "k c"]:
        """Constant, at x = 0, and slopes of the log variances."""
        slopes = self.noise[:, 1:] / self.scale
        level = self.noise[:, 0] - slopes @ self.origin.double()[list(self.lines.inputs)]
        return torch.cat([level[:, None], slopes], 1)

    @property
    def n_parameters(self) -> int:
        """Free parameters of lines and noise."""
        return 2 * self.noise.numel()

    @property
    def width(self) -> int:
        """Numbers that the kernel holds per row, for the size of chunks."""
        return self.lines.width + 3 * self.k

    def features(self, x: Float[Tensor, "n d"], buffers: Buffers | None = None) -> Float[Tensor, "f n"]:
        """What both halves of a step need of a chunk of rows, computed once."""
        return self.lines.features(x, buffers)

    def table(self, features: Float[Tensor, "f n"], buffers: Buffers | None = None) -> Float[Tensor, "n k"]:
        """Log density of the output of each row under each expert."""
        residual, log_s = self._residual(features), self._log_variance(self._z(features))
        return -0.5 * (math.log(2 * math.pi) + log_s + residual.square() * torch.exp(-log_s))

    def stats(
        self, features: Float[Tensor, "f n"], resp: Float[Tensor, "n k"], buffers: Buffers | None = None
    ) -> Moments | Noise:
        """Moments of the rows by responsibility over variance, or derivatives for the noise; additive over chunks."""
        z = self._z(features)
        log_s = self._log_variance(z)
        if not self.turn:
            return self.lines.stats(features, resp * torch.exp(-log_s), buffers)
        ratio = resp * self._residual(features).square() * torch.exp(-log_s)
        return Noise(
            w=resp.sum(0).double(),
            gradient=0.5 * ((ratio - resp).T @ z).double(),
            information=0.5 * ((resp.T[:, None] * z.T) @ z).double(),
            curvature=0.5 * ((ratio.T[:, None] * z.T) @ z).double(),
            at=self.noise,
            reach=(z.T * (resp.sum(1) > 0)).abs().amax(1).double(),
        )

    def refit(self, stats: Moments | Noise) -> ScaledLinear:
        """Lines by weighted least squares, or a step of the noise; the other in the next refit."""
        if isinstance(stats, Moments):
            return self.replace(lines=self.lines.refit(stats), turn=True)
        if not torch.equal(stats.at, self.noise):
            raise ValueError("The statistics were taken at experts of other noise: take them at these.")
        return self.replace(noise=self.noise + self._step(stats), turn=False)

    def _step(self, stats: Noise) -> Float[Tensor, "k c"]:
        """Of the log variances: safe in length, and none below the floor."""
        size = stats.information.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-290)
        trace = 1e-12 * size[:, None, None] * torch.eye(stats.gradient.shape[1]).to(size)
        step = torch.linalg.solve(stats.information + trace, stats.gradient[:, :, None])[..., 0]
        slope = (stats.gradient * step).sum(1).clamp(min=0)
        bend = torch.einsum("kc,kce,ke->k", step, stats.curvature, step).clamp(min=1e-300)
        reach = (step.abs() @ stats.reach).clamp(min=1e-9)
        step = step * (torch.log1p(reach * slope / bend) / reach)[:, None]
        low = math.log(self.lines.floor) if self.lines.floor > 0 else -math.inf
        for _ in range(_HALVINGS):
            moved = self.noise + step
            lowest = moved[:, 0] - moved[:, 1:].abs() @ stats.reach[1:]
            step = torch.where((lowest < low)[:, None], 0.5 * step, step)
        return step

    def penalty(self) -> Float[Tensor, ""]:
        """Zero: there is no prior."""
        return self.noise.new_zeros(())

    def expected(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n k q"]:
        """What each expert expects of the output, in float64."""
        return self.lines.expected(rows)

    def factors(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n k 1 1"]:
        """Standard deviations of the noise at rows."""
        x = rows[:, list(self.lines.inputs)].double()
        return torch.exp(0.5 * (x @ self.log_variance[:, 1:].T + self.log_variance[:, 0]))[..., None, None]

    def sample(self, z: Int[Tensor, "n"], rng: torch.Generator) -> NoReturn:
        """Raises `TypeError`: experts say nothing of their inputs."""
        self.lines.sample(z, rng)

    def _z(self, features: Float[Tensor, "f n"]) -> Float[Tensor, "n c"]:
        x = self.lines.form.rows(features)[list(self.lines.inputs)] / self.scale.to(features)[:, None]
        return torch.cat([x.new_ones(1, x.shape[1]), x]).T  # column by column

    def _log_variance(self, z: Float[Tensor, "n c"]) -> Float[Tensor, "n k"]:
        return (self.noise.to(z) @ z.T).T

    def _residual(self, features: Float[Tensor, "f n"]) -> Float[Tensor, "n k"]:
        rows, lines = self.lines.form.rows(features), self.lines
        line = lines.coef[:, 0].to(rows) @ rows[list(lines.inputs)] + lines.level.to(rows)
        return (rows[lines.outputs[0]] - line).T
