"""Ways of fitting: every one yields immutable steps."""

from gmmlab.fit.landscape import Landscape, Optimum, landscape
from gmmlab.fit.loop import Info, Step, last, plateau, run
from gmmlab.fit.source import Source, whole
from gmmlab.fit.splitting import split_merge

__all__ = [
    "Info",
    "Landscape",
    "Optimum",
    "Source",
    "Step",
    "landscape",
    "last",
    "plateau",
    "run",
    "split_merge",
    "whole",
]
