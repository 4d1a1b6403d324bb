"""A test that uses `make_signal` runs on fastsig's own signals and on adopted ones of Celery."""

import importlib

import pytest


@pytest.fixture(scope="module", params=["own", "celery"])
def make_signal(request, fastsig):
    """A function that makes a signal, of either kind."""
    if request.param == "own":
        yield fastsig.Signal
        return
    pytest.importorskip("celery.signals")
    face = importlib.import_module("fastsig.celery")
    face.install()
    from celery.utils.dispatch import Signal

    yield Signal
    face.uninstall()


@pytest.fixture
def signal(make_signal):
    return make_signal(name="saved", providing_args={"pk"})


@pytest.fixture
def called(signal):
    """What the receivers of the signal were called with: `first` and then `second`."""
    called = []

    def first(pk):
        called.append(("first", pk))
        return "first"

    def second(signal, sender, **named):
        called.append(("second", named["pk"]))
        return "second"

    signal.connect(first, weak=False)
    signal.connect(second, weak=False)
    called_with = Called(called)
    called_with.first, called_with.second = first, second
    return called_with


class Called(list):
    """A list that has the receivers as attributes."""

    def __init__(self, items):
        self.items = items

    def take(self):
        """Return the names of the receivers that were called, and forget them."""
        names = [name for name, _ in self.items]
        del self.items[:]
        return names


@pytest.fixture(autouse=True)
def nothing_stays(request):
    """What a test began to watch has ended after it."""
    yield
    if "fastsig" in request.fixturenames or "make_signal" in request.fixturenames:
        watching = importlib.import_module("fastsig.watching")
        assert not watching.watched
        assert not watching.everywhere
