"""What tests of Django's face share."""

import textwrap
from pathlib import Path

import pytest

HERE = Path(__file__).parent

BEGIN = """
import sys
sys.path.insert(0, {here!r})
from settings_of_django import SETTINGS
from django.conf import settings
settings.configure(**SETTINGS)
import fastsig, fastsig.django
fastsig.django.install()
import django
django.setup()
from articles import models
from articles.models import Article, Base, Proxy, Tag
models.prepare()
from django.db import transaction
from django.db.models.signals import *
from django.dispatch import Signal
assert fastsig.django.installed()
"""


@pytest.fixture
def run_django(run):
    """Run a program with Django's signals on fastsig, in a process of its own."""

    def run_django(program, **extra):
        begin = BEGIN.format(here=str(HERE))
        return run(begin + textwrap.dedent(program), **{"FASTSIG_DJANGO": "1", **extra})

    return run_django
