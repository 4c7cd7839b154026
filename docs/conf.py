"""Sphinx: pages in Markdown, their code cells executed at every build, tables of support made from the registries."""

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT)]
# the kernels of the notebooks and the commands document this checkout, installed or not
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
os.environ["PYTHONWARNINGS"] = "ignore::DeprecationWarning:zmq"

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

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_preprocess_types = False
