"""The documentation: ``sphinx-build -W --keep-going -j 2 docs FOLDER``."""

import os
import sys
from pathlib import Path

DOCS = Path(__file__).parent
# Threads that wait shall not take the time of those that work; it must be set before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

from making import QUICK, cards, gallery, pictures, reference  # noqa: E402

import torchdyn_neuro  # noqa: E402

project = "torchdyn_neuro"
author = "the authors of torchdyn_neuro"
copyright = author
version = release = torchdyn_neuro.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
    "making.mathml",
    "making.reference",
]
if not QUICK:
    extensions.append("sphinx.ext.viewcode")
exclude_patterns = ["generated/examples", "generated/papers", "generated/**/README.rst"]
suppress_warnings = ["config.cache", "toc.empty_glob"]  # a pattern of pages may have none

html_theme = "furo"
html_title = f"torchdyn_neuro {version}"
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_math_renderer = "mathml"
html_copy_source = False
templates_path = []

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Shape", "Tune"]
napoleon_use_rtype = False
autodoc_inherit_docstrings = False  # a method is described where it is first written
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = False
maximum_signature_line_length = 90
python_display_short_literal_types = True

sphinx_gallery_conf = gallery.CONFIGURATION

reference.make()
cards.make()
pictures.make()
gallery.make()
