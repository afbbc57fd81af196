"""Ways of fitting: every one yields immutable steps."""

from gmmlab.fit.ahead import Ahead
from gmmlab.fit.censored_moments import moment_censored_gmm
from gmmlab.fit.landscape import Landscape, Optimum, landscape
from gmmlab.fit.lineage import Lineage
from gmmlab.fit.loop import Info, Step, last, plateau, run
from gmmlab.fit.online import Progress, advance, averaged, block_steps, stream_steps
from gmmlab.fit.pins import Pins, pinned
from gmmlab.fit.sequences import Sequences, sequences
from gmmlab.fit.source import Exhausted, Source, drawn, in_turn, incremental, streamed, tempered, whole
from gmmlab.fit.splitting import split_merge
from gmmlab.fit.supervised import Supervised, supervised
from gmmlab.fit.transforms import Transform, after, anderson, chain, forgetting, identity, squarem, stepwise
from gmmlab.fit.variants import variant

__all__ = [
    "Ahead",
    "Exhausted",
    "Info",
    "Landscape",
    "Lineage",
    "Optimum",
    "Pins",
    "Progress",
    "Sequences",
    "Source",
    "Step",
    "Supervised",
    "Transform",
    "advance",
    "after",
    "anderson",
    "averaged",
    "block_steps",
    "chain",
    "drawn",
    "forgetting",
    "identity",
    "in_turn",
    "incremental",
    "landscape",
    "last",
    "moment_censored_gmm",
    "pinned",
    "plateau",
    "run",
    "sequences",
    "split_merge",
    "squarem",
    "stepwise",
    "stream_steps",
    "streamed",
    "supervised",
    "tempered",
    "variant",
    "whole",
]
