"""An executed notebook as one self-contained page: no code, no scripts, nothing fetched.

Pictures are embedded, equations become MathML, which browsers draw themselves, and a content security
policy in the page forbids every request, so "works without network" holds by construction.

Cells tagged `no-report` are left out, as is Markdown between `<!-- no-report -->` and `<!-- /no-report -->`.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import nbformat
from jinja2 import pass_context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from traitlets.config import Config

from gmmlab.series import parameters

_TEMPLATES = Path(__file__).parent / "templates"
_TAG = re.compile(r"\\tag\{([^{}]*)\}")
# The converter sets align* well; it numbers align itself, and does not know the others.
_ENVIRONMENT = re.compile(r"(\\(?:begin|end))\{(?:align|aligned|split|eqnarray|alignedat|gather|gathered)\*?\}")
_FUNCTION = re.compile(r"<mi>([a-z]{2,})</mi>")
_LEFT_OUT = re.compile(r"<!-- no-report -->.*?(?:<!-- /no-report -->|\Z)", re.DOTALL)
_STATIC = [
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "text/html",
    "text/markdown",
    "text/latex",
    "text/plain",
]


def mathml(tex: str, *, display: bool = False) -> str:
    r"""TeX as MathML. A `\tag{...}` becomes a number at the right, as in a printed page.

    >>> mathml("x^2")[:5]
    '<math'
    """
    tags = _TAG.findall(tex)
    body = _ENVIRONMENT.sub(r"\1{align*}", _TAG.sub("", tex)).strip()
    try:
        drawn = convert(body, display="block" if display else "inline")
        # "log p" needs room that browsers give to operators only
        drawn = _FUNCTION.sub(r'<mo lspace="0.17em" rspace="0.17em">\1</mo>', drawn)
    except Exception:  # noqa: BLE001 - the converter has no error class of its own
        drawn = f"<code>{html.escape(body)}</code>"  # unknown TeX stays readable as it was written
    if not display:
        return drawn
    numbers = "".join(f"<span>({html.escape(tag)})</span>" for tag in tags)
    return f'<div class="equation"><div>{drawn}</div><div class="number">{numbers}</div></div>'


class _Renderer(IPythonRenderer):
    """Markdown to HTML with drawn equations."""

    def _html_embed_images(self, html: str) -> str:
        # the parser would close an element that goes on behind this piece, such as <details>
        return super()._html_embed_images(html) if "<img" in html else html

    def inline_math(self, body: str) -> str:
        return mathml(body)

    def block_math(self, body: str) -> str:
        return mathml(body, display=True)

    def latex_environment(self, name: str, body: str) -> str:
        return mathml(rf"\begin{{{name}}}{body}\end{{{name}}}", display=True)


class _Exporter(HTMLExporter):
    """nbconvert's exporter with this page's template, policy and equations."""

    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        path = context.get("resources", {}).get("metadata", {}).get("path", "")
        attachments = context.get("cell", {}).get("attachments", {})
        renderer = _Renderer(
            escape=False, attachments=attachments, embed_images=True, path=path, exclude_anchor_links=True
        )
        return MarkdownWithMath(renderer=renderer).render(source)

    def default_filters(self) -> Any:
        yield from super().default_filters()
        yield "latex2mathml", lambda tex: mathml(tex.strip().strip("$"), display=True)


def page(notebook: Any, source: Path) -> str:
    """The HTML text of an executed notebook; `source` is the file it came from."""
    text = rendered(notebook, source.parent)
    title_end = "</h1>" if "</h1>" in text else "<main>"
    return text.replace(title_end, title_end + _run_table(notebook, source.stem), 1)


def rendered(notebook: Any, folder: Path) -> str:
    """Cells as HTML, pictures of Markdown that lie in `folder` embedded; the title is that of the metadata."""
    settings = Config({"NbConvertBase": {"display_data_priority": _STATIC}})
    exporter = _Exporter(
        config=settings,
        template_name="report",
        extra_template_basedirs=[str(_TEMPLATES)],
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        embed_images=True,
    )
    title = notebook.metadata.get("gmmlab", {}).get("title", "Report")
    resources = {"metadata": {"name": title, "path": str(folder)}}
    text: str = exporter.from_notebook_node(_for_paper(notebook), resources)[0]
    return text


def _run_table(notebook: Any, name: str) -> str:
    """What was run: the notebook's name, and its parameters with their values, the given ones marked."""
    values, rows = parameters.given(notebook), []
    for p in parameters.declared(notebook).values():
        value = str(values.get(p.name, p.default))
        shown = f"<code>{html.escape(value)}</code>" if value else "<em>empty</em>"
        mark = " <em>(given)</em>" if p.name in values else ""
        rows.append(f"<tr><th>{p.name}</th><td>{shown}{mark}</td><td>{html.escape(p.help)}</td></tr>")
    table = f"<table>{''.join(rows)}</table>" if rows else ""
    return f'<div class="run"><p>Notebook <code>{html.escape(name)}</code></p>{table}</div>'


def _for_paper(notebook: Any) -> Any:
    """A copy of what can be shown on paper: no widget views, no scripts, nothing marked `no-report`."""
    notebook = nbformat.from_dict(notebook)
    notebook.cells = [cell for cell in notebook.cells if "no-report" not in cell.metadata.get("tags", [])]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _LEFT_OUT.sub("", cell.source)
        for output in cell.get("outputs", []):
            if "data" in output:
                output.data = {kind: value for kind, value in output.data.items() if kind in _STATIC}
    return notebook


def write(notebook: Any, source: Path, path: Path) -> Path:
    """Write the page, whole or not at all, and return its path."""
    return whole(page(notebook, source), path)


def whole(text: str, path: Path) -> Path:
    """Write a text to a file, whole or not at all, and return its path."""
    growing = path.with_name(f".{path.name}.part")
    try:
        growing.write_text(text, encoding="utf-8")
        growing.replace(path)
    finally:
        growing.unlink(missing_ok=True)
    return path
