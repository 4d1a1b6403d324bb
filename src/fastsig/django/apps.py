"""The app: ``INSTALLED_APPS = ["fastsig.django", ...]``."""

from __future__ import annotations

from django.apps import AppConfig

from fastsig.django.face import install

__all__ = ["FastsigConfig"]

install()  # when the app is loaded: before the models are


class FastsigConfig(AppConfig):  # type: ignore[misc]
    """Lets Django's signals run on fastsig's engine."""

    name = "fastsig.django"
    label = "fastsig"
    verbose_name = "fastsig"

    def ready(self) -> None:
        """Register the system check."""
        from django.core.checks import register

        from fastsig.django.checks import check_installed

        register(check_installed)
