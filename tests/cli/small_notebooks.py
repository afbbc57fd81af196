"""Tiny notebooks for the tests of the command line."""

from __future__ import annotations

import nbformat

PARAMETERS = """\
data: str = ""  # a CSV file, empty for the built-in table
columns: str = ""  # comma-separated names, empty for all
n_components: int = 2  # how many
rate: float = 0.5
flag: bool = False
sizes: list[int] = [1, 2]
limit: int | None = None
free = 1
"""
CARD = {"title": "A test", "part": "Tests", "minutes": 3, "systems": ["estimation/em-family"]}


def notebook(*cells: str, card: dict | bool = True, parameters: str = PARAMETERS) -> nbformat.NotebookNode:
    """A notebook of a parameters cell and the given cells: code, or Markdown when it begins with #."""
    first = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    new = [nbformat.v4.new_markdown_cell if c.startswith("#") else nbformat.v4.new_code_cell for c in cells]
    made = nbformat.v4.new_notebook(metadata={"gmmlab": CARD if card is True else card} if card else {})
    made.cells = [first, *(make(cell) for make, cell in zip(new, cells, strict=True))]
    return made
