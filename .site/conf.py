"""How Sphinx sets the site; `.site/build.py` collects what it sets."""

from __future__ import annotations

from dlnsweep.version import __version__

project = "dlnsweep"
author = "the dlnsweep developers"
copyright = author
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
myst_enable_extensions = ["colon_fence", "tasklist"]
# As GitHub makes them, so that links work there and here.
myst_heading_anchors = 3
autodoc_typehints = "none"
autodoc_member_order = "bysource"

root_doc = "index"
html_theme = "furo"
html_title = f"dlnsweep {version}"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {"sidebar_hide_name": False}
# Code without a language is a picture of something.
highlight_language = "none"
copybutton_prompt_text = r"\$ "
