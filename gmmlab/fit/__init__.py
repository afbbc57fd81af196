"""Ways of fitting: every one yields immutable steps."""

from gmmlab.fit.loop import Info, Step, last, plateau, run
from gmmlab.fit.source import Source, whole
from gmmlab.fit.splitting import split_merge

__all__ = ["Info", "Source", "Step", "last", "plateau", "run", "split_merge", "whole"]
