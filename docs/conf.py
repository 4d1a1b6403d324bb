"""How the documentation is built: ``make docs``."""

import os

os.environ["FASTSIG_CELERY"] = "0"  # the signals as they are before Celery sends them

from sphinx.pycode import ModuleAnalyzer

import fastsig

project = "fastsig"
release = fastsig.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

html_theme = "furo"
html_title = f"fastsig {release}"
html_copy_source = False
html_show_copyright = False
html_use_index = html_domain_indices = False  # there is the search
html_static_path = html_css_files = ["style.css"]
pygments_style = "default"  # it shows what a diff adds and removes

myst_heading_anchors = 3

highlight_language = "none"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True

# In the docstrings, `this` is a reference if there is a target, and code if there is none.
default_role = "py:obj"
nitpick_ignore_regex = [
    ("py:obj", r"[a-z_]+"),  # an argument, for which Sphinx has no targets
]

# A build must not need the network: tests and packagers run it without.  So other projects are
# linked only where the pages are published, or if somebody asks for it.
if "READTHEDOCS" in os.environ or "FASTSIG_DOCS_ONLINE" in os.environ:
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "celery": ("https://docs.celeryq.dev/en/stable", None),
    }
else:
    nitpick_ignore_regex += [("py:(class|obj)", r"(celery|collections\.abc|contextlib)\..+")]
# Not documented anywhere, or not in an inventory.
nitpick_ignore = [("py:obj", "billiard.einfo.ExceptionInfo")]


def setup(app):
    """Show one signature of `connect`, and not the five overloads that type checkers need."""
    analyzer = ModuleAnalyzer.for_module("fastsig.signal")
    analyzer.analyze()
    analyzer.overloads.pop("Signal.connect")
