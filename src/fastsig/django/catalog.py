"""The arguments of the signals that Django documents.

The table follows the source of Django 5.2 to 6.1, and ``tests/django/test_django_app.py`` compares
it with the installed version.  ``manage.py fastsig check`` uses it.  It lacks ``setting_changed``,
which never runs on fastsig's engine.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import django

from fastsig.catalog import Entry

if TYPE_CHECKING:
    from typing import Any

__all__ = ["CATALOG", "find_entry"]

RAW = "raw" if django.VERSION >= (6, 1) else ""
MIGRATION = "app_config verbosity interactive stdout using plan apps"

CATALOG = {
    "django.db.models.signals": {
        "class_prepared": "",
        "pre_init": "args kwargs",
        "post_init": "instance",
        "pre_save": "instance raw using update_fields",
        "post_save": "instance created raw using update_fields",
        "pre_delete": "instance using origin",
        "post_delete": "instance using origin",
        "m2m_changed": f"action instance reverse model pk_set using {RAW}",
        "pre_migrate": MIGRATION,
        "post_migrate": MIGRATION,
    },
    "django.core.signals": {
        "request_started": "environ scope",  # environ from WSGI, scope from ASGI
        "request_finished": "",
        "got_request_exception": "request",
    },
    "django.contrib.auth.signals": {
        "user_logged_in": "request user",
        "user_logged_out": "request user",
        "user_login_failed": "credentials request",
    },
    "django.db.backends.signals": {"connection_created": "connection"},
    "django.tasks.signals": {  # from Django 6.0 on
        "task_enqueued": "task_result",
        "task_started": "task_result",
        "task_finished": "task_result",
    },
    "django.test.signals": {"template_rendered": "template context"},
}
"""The names of the arguments, without the sender, by module and signal."""


def find_entry(signal: Any) -> Entry | None:
    """Return the entry of a signal that Django documents; None for others."""
    for module, signals in CATALOG.items():
        for name, arguments in signals.items():
            if vars(sys.modules.get(module, sys)).get(name) is signal:
                return Entry("class", "any", arguments)
    return None
