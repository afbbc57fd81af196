"""The inventory: every published system that gmmlab implements, by its slug, and its entry point."""

from __future__ import annotations

SYSTEMS: dict[str, str] = {
    "estimation/em-family": "gmmlab.GaussianMixture",
}
