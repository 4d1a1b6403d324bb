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
html_use_index = html_domain_indices = False  # there is the search
html_static_path = html_css_files = ["style.css"]
pygments_style = "default"  # it shows what a diff adds and removes

myst_heading_anchors = 3

# In the docstrings, `this` is a reference where there is such a thing, and code where there is not.
default_role = "py:obj"
nitpick_ignore = [
    # Arguments, which Sphinx keeps no targets for.
    *(
        ("py:obj", argument)
        for argument in (
            *("dispatch_uid", "retry", "send", "sender", "senders", "subclasses", "weak", "where"),
            *("once", "on_error", "receiver", "Retry", "fastsig.muted", "fastsig.recorded"),
        )
    ),
    # Documented elsewhere: no inventories are fetched, so that building needs no network.
    ("py:obj", "repr"),
    ("py:obj", "billiard.einfo.ExceptionInfo"),
    ("py:obj", "celery.apps.worker.Worker"),
    ("py:obj", "celery.beat.Service"),
    ("py:obj", "celery.worker.heartbeat.Heart"),
    ("py:obj", "celery.worker.request.Request"),
]
highlight_language = "none"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
