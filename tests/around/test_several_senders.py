"""Options of `connect`, and `muted`, with several senders or a class and its subclasses."""

import pytest


class Animal:
    """A class, connected with its subclasses."""


class Dog(Animal):
    """One of them."""


@pytest.fixture
def got():
    return []


@pytest.fixture
def note(got):
    def note(sender):
        got.append(sender)

    return note


def test_once_for_each_of_several_senders(signal, note, got):
    one, other = object(), object()
    signal.connect(note, senders=[one, other], once=True)
    for sender in (one, one, other, other):
        signal.send(sender)
    assert got == [one, other]
    assert not signal.receivers


def test_once_for_a_class_with_its_subclasses(signal, note, got):
    signal.connect(note, sender=Animal, subclasses=True, once=True)
    dog = Dog()
    for sender in (dog, Animal(), Dog()):
        signal.send(sender)
    assert got == [dog]
    assert not signal.receivers


def test_an_exception_that_reaches_several_senders(signal):
    def broken(sender):
        raise KeyError(sender)

    other = object()
    signal.connect(broken, senders=[Animal, other], subclasses=True, on_error="raise")
    for sender in (Dog(), Animal, other, Dog()):
        with pytest.raises(KeyError):
            signal.send(sender)
    assert signal.send(object()) == []


def test_retry_for_several_senders(fastsig, signal):
    calls = []

    def fragile(sender):
        calls.append(sender)
        if len(calls) < 3:
            raise ValueError(sender)

    signal.connect(fragile, senders=["one", "other"], retry=fastsig.Retry(3, delay=0), once=True)
    assert signal.send("one")[0][1] is None
    assert calls == ["one"] * 3
    assert [each.sender for each in signal.connections()] == ["other"]
    assert signal.connections()[0].receiver is fragile


def test_connected_for_several_senders(signal, note):
    with signal.connected(note, senders=iter(["one", "other"])):
        assert [each.sender for each in signal.connections()] == ["one", "other"]
    assert not signal.receivers


def test_connected_leaves_what_was_connected(signal, note):
    signal.connect(note, sender="one")
    with signal.connected(note, senders=["one", "other"]):
        assert len(signal.connections()) == 2
    assert [each.sender for each in signal.connections()] == ["one"]


def test_connected_for_a_class_with_its_subclasses(signal, note, got):
    dog = Dog()
    with signal.connected(note, Animal, subclasses=True):
        signal.send(dog)
    signal.send(dog)
    assert got == [dog]
    assert not signal.receivers


def test_explain_what_is_muted(signal, note):
    signal.connect(note, sender=Animal, subclasses=True)
    with signal.muted():
        assert signal.explain(note, Dog()).startswith("not called: it is muted here")
    assert signal.explain(note, Dog()).startswith("called")
