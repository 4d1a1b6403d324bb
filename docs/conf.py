"""How the documentation is built: ``make docs``."""

import os

os.environ["FASTSIG_CELERY"] = "0"  # the signals as they are before Celery sends them

import fastsig

project = "fastsig"
release = fastsig.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

html_theme = "furo"
html_title = f"fastsig {release}"
html_copy_source = False
html_show_copyright = False

myst_heading_anchors = 3

# In the docstrings, `this` is a reference where there is such a thing, and code where there is not.
default_role = "py:obj"
nitpick_ignore_regex = [
    ("py:.*", r"[a-z_]+"),
    ("py:.*", r"(billiard|celery|collections|logging|typing)\..*|_\w+|Any|Callable|Hashable"),
    ("py:.*", r"Iterable|Unpack|fastsig\.signal\._.*|fastsig\._core\..*|fastsig\._pure\..*"),
]
highlight_language = "none"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
