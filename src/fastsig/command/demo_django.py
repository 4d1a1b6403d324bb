"""``python -m fastsig demo --django``: rows per second without fastsig and with it, in sqlite."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import fastsig

ROWS = 2000
SECONDS = 1.0
"""So long each way is measured, in each round."""
ROUNDS = 2


def demo() -> int:
    """Run the demo; return its exit status."""
    import django
    from django.conf import settings

    import fastsig.django

    core = "compiled" if fastsig.compiled else "pure Python"
    print(f"fastsig {fastsig.__version__} on its {core} core, with Django {django.__version__}\n")
    with tempfile.TemporaryDirectory(prefix="fastsig-demo-") as name:
        database = str(Path(name) / "demo.sqlite3")
        settings.configure(
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}},
            DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
            INSTALLED_APPS=["fastsig.django"],
        )
        django.setup()
        from django.db import connection

        if not fastsig.django.installed():
            print("Django runs on its own: FASTSIG_DJANGO=0, or no compiled core; see")
            print("manage.py check.  FASTSIG_DJANGO=1 uses fastsig in plain Python, too.")
            return 1
        Article, log = _make_model()
        with connection.schema_editor() as editor:
            editor.create_model(Article)
        _show_receivers(Article, log)
        Article.objects.all().delete()
        Article.objects.bulk_create([Article(title=f"article {i}") for i in range(ROWS)])
        _race(Article)
        connection.close()
    return 0


def _make_model() -> tuple[Any, list[str]]:
    from django.db import models
    from django.db.models import signals

    from fastsig.django import receiver

    log: list[str] = []

    class Article(models.Model):  # type: ignore[misc]
        title = models.CharField(max_length=50)

        class Meta:
            app_label = "demo"

    @receiver(signals.pre_save, sender=Article)
    def strip_title(instance: Any) -> None:
        log.append(f"pre_save     strip_title(instance)          title={instance.title!r}")
        instance.title = instance.title.strip()

    @receiver(signals.post_save, sender=Article)
    def index(instance: Any, created: bool, **kwargs: Any) -> None:
        log.append(f"post_save    index(instance, created, ...)  created={created}")

    @receiver(signals.post_save, sender=Article, on_commit=True)
    def tell_readers(instance: Any) -> None:
        log.append(f"post_save    tell_readers(instance)         after the commit: {instance.pk}")

    Article.kept = strip_title, index, tell_readers
    return Article, log


def _show_receivers(model: Any, log: list[str]) -> None:
    """Save a row in a transaction, and print which receivers were called."""
    from django.db import transaction

    print("The receivers that fired, in a transaction:")
    with transaction.atomic():
        model.objects.create(title="  Signals  ")
        log.append("             ... the transaction ends")
    for line in log:
        print(f"  {line}")


def _race(model: Any) -> None:
    """Print how many rows per second are loaded, without fastsig and with it."""
    from django.db.models.signals import post_init

    def own(sender: Any, instance: Any, **kwargs: Any) -> None:
        pass

    print(f"\nThousand rows per second, list(Article.objects.all()), {ROWS} rows in sqlite:")
    for text, receivers in (("no receiver of post_init", 0), ("one own receiver", 1)):
        if receivers:
            post_init.connect(own, sender=model)
        without = with_fastsig = 0.0
        for _ in range(ROUNDS):
            fastsig.django.uninstall()
            without = max(without, _measure(model))
            fastsig.django.install()
            with_fastsig = max(with_fastsig, _measure(model))
        print(
            f"  {text:<26}without {without / 1000:6.0f}, with fastsig"
            f" {with_fastsig / 1000:6.0f}: {with_fastsig / without:.2f} times"
        )


def _measure(model: Any) -> float:
    """Return the rows per second of the fastest run."""
    best, end = float("inf"), time.perf_counter() + SECONDS
    while (started := time.perf_counter()) < end:
        list(model.objects.all())
        best = min(best, time.perf_counter() - started)
    return ROWS / best
