"""Ways of fitting: every one yields immutable steps."""

from gmmlab.fit.loop import Info, Step, last, plateau, run
from gmmlab.fit.source import Source, whole

__all__ = ["Info", "Source", "Step", "last", "plateau", "run", "whole"]
