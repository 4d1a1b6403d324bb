"""What ``manage.py check`` says of fastsig."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Info, Warning

from fastsig.django.face import find_obstacle, installed

__all__ = ["check_installed"]


def check_installed(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Return why Django's signals do not run on fastsig's engine; nothing if they do.

    Arguments:
        app_configs: Without effect.
        **kwargs: Without effect.
    """
    obstacle = "" if installed() else find_obstacle()
    if obstacle == "off" or installed():
        return []
    if obstacle == "pure":
        text = "fastsig runs in plain Python here, where Django's own dispatch is faster."
        hint = "Install a wheel, or a C compiler; FASTSIG_DJANGO=1 uses it all the same."
        return [Info(f"{text} Django runs on its own.", hint=hint, id="fastsig.I001")]
    if obstacle:
        text = f"fastsig does not recognize this Django: {obstacle}. Django runs on its own."
        hint = "Install a newer fastsig; or let fastsig.django come before what patches signals."
        return [Warning(text, hint=hint, id="fastsig.W001")]
    text = "fastsig was uninstalled, or is not in use. Django runs on its own."
    return [Warning(text, hint="Call fastsig.django.install().", id="fastsig.W002")]
