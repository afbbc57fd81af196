"""One headless run of a notebook: checked parameters in, a finished file out.

The notebook grows in a temporary file beside the result and gets its name when the last cell has run, so
what stands under the final name is always whole. A run that fails leaves what it has as NAME.failed.ipynb.
"""

from __future__ import annotations

import base64
import contextlib
import io
import logging
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gmmlab.extras import needs
from gmmlab.series import catalogue
from gmmlab.series.problems import Misuse, RunFailed

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def load(path: Path) -> Any:
    """The notebook at `path`, as papermill reads it."""
    papermill_io, nbformat = needs("papermill.iorw"), needs("nbformat")
    catalogue.notebook_metadata(path)  # a sentence for what is no notebook at all
    try:
        notebook = papermill_io.load_notebook_node(str(path))
        nbformat.validate(notebook)
    except Exception as error:  # readers differ in what they raise for a file that is no notebook
        raise Misuse(f"{path} is not a notebook that can be read ({_first_line(str(error))}).") from error
    return notebook


def result_path(notebook: Path, out: str | None) -> Path:
    """Where the result goes: NAME.run.ipynb here, or in the folder OUT, or the file OUT."""
    name = f"{notebook.stem}.run.ipynb"
    path = Path(out) if out else Path(name)
    if path.is_dir() or (out or "").endswith("/"):
        path = path / name
    if not path.suffix and not path.exists():
        raise Misuse(f"the output {path} is not an existing folder; {_make(path)}.")
    if path.suffix != ".ipynb":
        raise Misuse(f"the output {path} is neither an existing folder nor a name that ends in .ipynb.")
    if not path.parent.is_dir():
        raise Misuse(f"the folder {path.parent} for the output does not exist; {_make(path.parent)}.")
    if not os.access(path.parent, os.W_OK):
        raise Misuse(f"the folder {path.parent} for the output cannot be written to; name another with -o.")
    return path


def _make(folder: Path) -> str:
    return f"make it first: mkdir -p {shlex.quote(str(folder))}"


def run(notebook: Path, values: Mapping[str, Any], out: Path, *, progress: bool = False) -> Any:
    """Execute `notebook` with `values`, write `out`, return the executed notebook."""
    failed = out.with_suffix(".failed.ipynb")
    with tempfile.TemporaryDirectory(prefix=f".{out.stem}-", dir=out.parent) as folder:
        growing = Path(folder) / out.name
        try:
            executed = _execute(notebook, values, growing, progress)
        except (Exception, KeyboardInterrupt) as error:
            raise _give_up(error, growing, failed) from error
        write(executed, growing)
        growing.replace(out)
    failed.unlink(missing_ok=True)  # of an earlier try
    return executed


def write(notebook: Any, path: Path) -> None:
    """Write a notebook without widget state, timings and the runner's own marks."""
    nbformat = needs("nbformat")
    path.write_text(nbformat.writes(tidied(notebook)) + "\n", encoding="utf-8")


def tidied(notebook: Any) -> Any:
    """The notebook without what changes from run to run, or would hide pictures (stored widget state).

    What a cell prints comes in as many pieces as the kernel has flushed, which depends on the load: they are joined.
    Pictures are packed with more care than there is time for while one waits for them.
    """
    notebook, _ = needs("nbconvert.preprocessors").CoalesceStreamsPreprocessor(enabled=True)(notebook, {})
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        if "image/png" in output.get("data", {}):
            output.data["image/png"] = _packed(output.data["image/png"])
    notebook.cells = [c for c in notebook.cells if "papermill-error-cell-tag" not in c.metadata.get("tags", [])]
    for metadata in (notebook.metadata, *(cell.metadata for cell in notebook.cells)):
        for key in ("widgets", "papermill", "execution"):
            metadata.pop(key, None)
        if metadata.get("tags") == []:
            del metadata["tags"]
    return notebook


def _packed(png: str) -> str:
    """The same picture in fewer bytes, if it has a palette, as ours do; others, and what is none, stay as they are."""
    held, out, pictures = base64.b64decode(png), io.BytesIO(), needs("PIL.Image")
    try:
        picture = pictures.open(io.BytesIO(held))
    except pictures.UnidentifiedImageError:
        return png
    if picture.mode != "P" or picture.is_animated:
        return png
    picture.save(out, "PNG", optimize=True)
    return base64.b64encode(min(held, out.getvalue(), key=len)).decode()


def _execute(notebook: Path, values: Mapping[str, Any], growing: Path, progress: bool) -> Any:
    papermill = needs("papermill")
    logging.getLogger("papermill").setLevel(logging.ERROR)
    with _private_kernel() as config, _environment(GMMLAB_DISPLAY="static"):
        return papermill.execute_notebook(
            load(notebook),
            _literal_path(growing),
            parameters=dict(values),
            kernel_name="python3",
            language="python",
            progress_bar=_bar(notebook) if progress else False,
            store_widget_state=False,
            config=config,
            extra_arguments=["--Application.log_level=50"],  # its complaint about being told to stop at the end
        )


def _bar(notebook: Path) -> dict[str, Any]:
    return {
        "desc": notebook.stem,
        "file": sys.stderr,
        "bar_format": "{desc}: cell {n_fmt} of {total_fmt} |{bar}| {elapsed}",
    }


@contextlib.contextmanager
def _private_kernel() -> Iterator[Any]:
    """Settings for a kernel that is reached through sockets in a private folder, instead of open ports."""
    config = needs("traitlets.config").Config()
    with tempfile.TemporaryDirectory(prefix="gmmlab-") as folder:
        if sys.platform != "win32":  # which has no such sockets
            config.KernelManager.transport = "ipc"
            config.KernelManager.connection_file = str(Path(folder) / "kernel.json")
        yield config


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Environment variables for the kernel, which inherits this process's."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _give_up(error: BaseException, growing: Path, failed: Path) -> RunFailed:
    """Keep the partial notebook; the sentence that says which cell failed, or which trouble came."""
    kept = "no cell had run"
    if growing.is_file():
        write(load(growing), growing)
        growing.replace(failed)
        kept = f"what had run is in {failed}"
    if isinstance(error, KeyboardInterrupt):
        return RunFailed(f"interrupted; {kept}.")
    said = _first_line(str(error)) or type(error).__name__
    if isinstance(error, needs("papermill.exceptions").PapermillExecutionError):
        said = _first_line(f"{error.ename}: {error.evalue}")
        return RunFailed(f"cell In[{error.exec_count or ' '}] ({_failed_line(error)}) failed with {said}; {kept}.")
    return RunFailed(f"the run broke off: {said}; {kept}.")


def _failed_line(error: Any) -> str:
    """The line of the cell that failed, from the traceback; the cell's first line if that names none."""
    traceback = _COLOUR.sub("", "\n".join(error.traceback))
    found = re.findall(rf"^ *Cell In ?\[{error.exec_count}\], line (\d+)", traceback, re.MULTILINE)
    lines = re.sub(r"\A(?:[ \t]*\n)+", "", error.source).splitlines()  # numbers begin at the first line with text
    number = int(found[-1]) if found else 1
    return (lines[number - 1].strip() if number <= len(lines) else "") or _first_line(error.source)


def _first_line(text: str) -> str:
    lines = _COLOUR.sub("", text).strip().splitlines()
    return lines[0].strip() if lines else ""


def _literal_path(path: Path) -> str:
    """A path as papermill takes it: it would read braces as a template."""
    return str(path).replace("{", "{{").replace("}", "}}")
