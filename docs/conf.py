"""Sphinx: pages in Markdown, their code cells executed at every build, tables of support made from the registries."""

import os
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT)]
# the kernels of the notebooks and the commands document this checkout, installed or not
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])

from ibtheory import __version__  # noqa: E402

project = "ibtheory"
author = "the authors of ibtheory"
project_copyright = author
release = version = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "directives",
]
exclude_patterns = ["_build", "jupyter_execute"]

html_theme = "furo"
html_title = f"ibtheory {release}"
html_show_sourcelink = False

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 60
nb_merge_streams = True
nb_output_stderr = "warn"  # a warning printed by a cell fails the build

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_preprocess_types = False


FIELD = re.compile(r":(ivar|vartype) ([\w, ]+):(.*)")


def setup(app):
    app.connect("autodoc-process-docstring", tidy, priority=900)  # behind napoleon


def tidy(app, what, name, obj, options, lines):
    """Undo two habits of napoleon.

    What stands before a colon in the docstring of a property becomes its type; two attributes described together
    ("mean, cov : float") become one of a strange type.
    """
    text = "\n".join(lines)
    if what == "property":
        start, _, kind = text.rstrip().partition("\n\n:type: ")
        text = f"{kind}: {start}" if kind else text
    fields = re.split(r"\n(?=:)", text)
    lines[:] = "\n".join(single for field in fields for single in apart(field)).split("\n")


def apart(field):
    """The field for each of the names that share it."""
    found = FIELD.match(field)
    if not found:
        return [field]
    word, names, _ = found.groups()
    rest = field[found.start(3) :]
    return [f":{word} {name}:{rest}" for name in re.split(r",\s*", names)]
