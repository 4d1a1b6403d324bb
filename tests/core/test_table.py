"""`receivers`, the live table: changing it from outside counts, whatever way it is changed."""

import copy
import gc
import subprocess
import sys
import weakref
from unittest import mock

import pytest
from cores import FREE_THREADED


def first(**kwargs):
    return 1


def second(**kwargs):
    return 2


ANY = id(None)
SECOND = ((id(second), ANY), second)


def responses(signal, sender=None):
    return [response for _, response in signal.send(sender)]


@pytest.fixture(params=["own", "another"])
def table(request, signal):
    """The table, as the signal made it or one that was assigned."""
    if request.param == "another":
        signal.receivers = []
    signal.connect(first)
    assert responses(signal) == [1]
    return signal.receivers


def test_shape(signal):
    signal.connect(first)
    signal.connect(second, sender="s", weak=False)
    (keys, reference), (other_keys, other) = signal.receivers
    assert keys == (id(first), ANY)
    assert isinstance(reference, weakref.ReferenceType)
    assert reference() is first
    assert (other_keys, other) == ((id(second), "s"), second)


def test_is_one_list_for_ever(signal):
    table = signal.receivers
    assert isinstance(table, list)
    assert table == []
    assert not table
    signal.connect(first)
    assert table
    receiver = signal.connect(lambda **kwargs: 3)
    del receiver
    gc.collect()
    assert responses(signal) == [1]
    signal.disconnect(first)
    assert signal.receivers is table
    assert table == []


CHANGES = {
    "append": (lambda table: table.append(SECOND), [1, 2]),
    "extend": (lambda table: table.extend([SECOND]), [1, 2]),
    "iadd": (lambda table: table.__iadd__([SECOND]), [1, 2]),
    "imul": (lambda table: table.__imul__(2), [1, 1]),
    "insert": (lambda table: table.insert(0, SECOND), [2, 1]),
    "item": (lambda table: table.__setitem__(0, SECOND), [2]),
    "slice": (lambda table: table.__setitem__(slice(None), [SECOND]), [2]),
    "empty": (lambda table: table.__setitem__(slice(None), []), []),
    "delete": (lambda table: table.__delitem__(0), []),
    "delete slice": (lambda table: table.__delitem__(slice(None)), []),
    "clear": (lambda table: table.clear(), []),
    "pop": (lambda table: table.pop(), []),
    "remove": (lambda table: table.remove(table[0]), []),
}


@pytest.mark.parametrize("change", CHANGES)
def test_change_in_place(signal, table, change):
    change, expected = CHANGES[change]
    change(table)
    assert responses(signal) == expected
    assert signal.has_listeners() is bool(expected)
    assert responses(signal, "s") == expected
    signal.connect(second)
    assert responses(signal) == (expected if 2 in expected else [*expected, 2])
    assert signal.disconnect(second)
    assert responses(signal) == [response for response in expected if response == 1]
    assert signal.receivers is table


def test_order(signal, table):
    signal.connect(second)
    table.reverse()
    assert responses(signal) == [2, 1]
    table.sort(key=lambda entry: entry[0][0] == id(second))
    assert responses(signal) == [1, 2]


def test_an_item_is_changed_behind_a_connection(signal, table):
    signal.connect(second, sender="s")
    assert responses(signal, "s") == [1, 2]
    table[1] = (table[1][0], first)
    assert responses(signal, "s") == [1, 1]
    table[0] = (("key", "t"), second)
    assert responses(signal, "s") == [1]
    assert responses(signal, "t") == [2]
    assert responses(signal) == []


def test_an_entry_is_replaced_by_its_equal(signal, table):
    class Listener:
        def __eq__(self, other):
            return True

        __hash__ = None

        def __call__(self):
            return self

    one, other = Listener(), Listener()
    for listener in (one, other, one):
        table[:] = [(("uid", ANY), listener)]
        ((_, response),) = signal.send(None)
        assert response is listener


def test_duplicates_from_outside(signal, table):
    table.append(table[0])
    assert responses(signal) == [1, 1]
    assert signal.disconnect(first)
    assert responses(signal) == [1]
    assert signal.disconnect(first)
    assert not signal.disconnect(first)


def test_assigning(signal, table):
    mine = [SECOND]
    signal.receivers = mine
    assert signal.receivers is mine
    assert responses(signal) == [2]
    signal.connect(first)
    assert len(mine) == 2
    mine.clear()
    assert responses(signal) == []
    signal.receivers = table
    assert responses(signal) == [1]
    signal.connect(second)
    assert len(table) == 2


def test_saving_and_restoring_a_copy(signal):
    signal.connect(first)
    saved = signal.receivers[:]
    signal.receivers[:] = []
    assert responses(signal) == []
    signal.receivers[:] = saved
    assert responses(signal) == [1]
    signal.receivers = copy.copy(saved)
    assert responses(signal) == [1]


def test_any_iterable(signal):
    signal.receivers = (SECOND,)
    assert responses(signal) == [2]
    assert signal.has_listeners()


def test_table_of_another_signal(Signal):
    one, other = Signal(), Signal()
    other.receivers = one.receivers
    one.connect(first)
    assert responses(other) == [1]
    other.connect(second)
    assert responses(one) == [1, 2]
    one.receivers.pop()
    assert responses(other) == responses(one) == [1]


def test_deleting(signal):
    signal.connect(first)
    del signal.receivers
    assert not hasattr(signal, "receivers")
    assert signal.send(None) == []
    assert not signal.disconnect(first)
    with pytest.raises(AttributeError, match="receivers"):
        signal.connect(first)
    signal.receivers = []
    assert responses(signal) == []
    signal.connect(first)
    signal.receivers = None
    assert signal.send(None) == []


class TestMock:
    """`mock.patch` must be able to replace what it likes, and to put it back."""

    def test_receivers(self, signal):
        table = signal.receivers
        signal.connect(first)
        with mock.patch.object(signal, "receivers", [SECOND]) as patched:
            assert signal.receivers is patched
            assert responses(signal) == [2]
            with mock.patch.object(signal, "receivers", []):
                assert responses(signal) == []
            assert responses(signal) == [2]
        assert signal.receivers is table
        assert responses(signal) == [1]

    def test_send(self, signal):
        with mock.patch.object(signal, "send") as send:
            signal.send("s")
        send.assert_called_once_with("s")
        assert signal.send("s") == []

    def test_connect(self, signal):
        with mock.patch.object(signal, "connect") as connect:
            signal.connect(first)
        connect.assert_called_once_with(first)
        assert signal.receivers == []


@pytest.mark.parametrize("entry", [None, 3, (), (1, 2), ((1, 2), 3, 4)])
def test_malformed_entries_are_an_error_and_break_nothing(signal, entry):
    signal.connect(first)
    signal.receivers.append(entry)
    for operation in (lambda: signal.send(None), lambda: signal.connect(second)):
        with pytest.raises((TypeError, ValueError)):
            operation()
    signal.receivers.pop()
    assert responses(signal) == [1]


def test_weak_references_of_others(signal):
    class Listener:
        def method(self, **kwargs):
            return 3

    listener = Listener()
    signal.receivers.append((("w", ANY), weakref.WeakMethod(listener.method)))
    signal.receivers.append((("r", ANY), weakref.ref(first)))
    assert responses(signal) == [3, 1]
    del listener
    gc.collect()
    assert responses(signal) == [1]
    signal.send(None)
    assert len(signal.receivers) == 1


def test_a_reference_that_gives_another_receiver_each_time(signal):
    class Listener:
        def method(self, **kwargs):
            return 3

    class Reference(weakref.ref):
        def __call__(self):
            return current

    current = Listener().method
    signal.receivers.append((("key", ANY), Reference(first)))
    assert responses(signal) == [3]
    current = 3
    assert isinstance(responses(signal)[0], TypeError)
    current = first
    assert responses(signal) == [1]
    current = Listener.method
    assert isinstance(responses(signal)[0], TypeError)


@pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="needs that what is dropped dies")
@pytest.mark.id_reuse
def test_deaths_that_nobody_tells_of(Signal):
    """In a copied table, the weak references tell the signal that they were made for."""

    def make():
        def receiver(**kwargs):
            return "new"

        return receiver

    reused = 0
    for _ in range(20):
        signal, other = Signal(), Signal()
        receiver = make()
        signal.connect(receiver)
        other.receivers = list(signal.receivers)
        other.send(None)
        other.connect(first)
        address = id(receiver)
        del receiver
        receiver = make()
        assert not other.disconnect(receiver)
        other.connect(receiver)
        assert responses(other) == [1, "new"]
        reused += id(receiver) == address
    # The allocators there take other addresses.
    assert reused or FREE_THREADED or sys.platform == "emscripten"


def test_one_table_for_two_signals(Signal):
    one, other = Signal(), Signal()
    other.receivers = one.receivers
    other.connect(first)
    assert responses(one) == responses(other) == [1]
    one.connect(second)
    assert responses(one) == responses(other) == [1, 2]
    assert other.disconnect(first)
    assert responses(one) == responses(other) == [2]
    assert other.disconnect(second)
    assert not one.disconnect(second)
    assert responses(one) == responses(other) == []


@pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="needs that what is dropped dies")
def test_one_signal_purges_the_table_of_two(Signal):
    """The other one hears of it, so a new sender does not receive for a dead one."""
    one, other = Signal(), Signal()
    other.receivers = one.receivers
    senders = [type("Sender", (), {})() for _ in range(50)]
    addresses = {id(sender) for sender in senders}
    for sender in senders:
        other.connect(first, sender=sender)
    one.connect(second, sender="name")
    assert responses(one, senders[0]) == [1]
    assert not one.disconnect(first)
    sender = senders.clear()
    assert responses(other) == []
    assert len(one.receivers) == 1
    kind = type("Sender", (), {})
    again = [each for each in [kind() for _ in range(200)] if id(each) in addresses]
    assert [responses(one, sender) for sender in again] == [[]] * len(again)
    for sender in again:
        one.connect(first, sender=sender)
        assert responses(one, sender) == responses(other, sender) == [1]


def test_a_dying_sender_that_disconnects(signal):
    class Sender:
        __slots__ = ()

        def __del__(self):
            signal.disconnect(first)

    senders = [Sender()]

    class Proxy:
        def _get_current_object(self):
            return senders.pop()

    third = signal.connect(lambda **kwargs: 3)
    signal.connect(first)
    signal.connect(second, sender=senders[0])
    signal.connect(third, sender="s")
    assert signal.disconnect(second, sender=Proxy())
    gc.collect()
    assert responses(signal, "s") == [3, 3]


def test_a_duplicate_from_outside_stays_its_senders(signal):
    """The first of two is disconnected; the other one keeps its place, and its sender."""

    class Sender:
        __slots__ = ()

        def __del__(self):
            died.append(1)

    died, sender = [], Sender()
    signal.connect(first, sender=sender)
    signal.receivers.extend([SECOND, signal.receivers[0]])
    assert responses(signal, sender) == [1, 2, 1]
    assert signal.disconnect(first, sender=sender)
    assert responses(signal, sender) == [2, 1]
    address = id(sender)
    del sender
    signal.send(None)
    assert died == []
    assert signal.receivers[1][0][1] == address


def test_the_dead_in_a_table_that_cannot_be_purged(environment):
    program = """
import gc

from fastsig import Signal

signal, receiver = Signal(), lambda **kwargs: None
signal.connect(receiver)
signal.receivers = tuple(signal.receivers)
del receiver
for _ in range(3):
    gc.collect()
assert signal.send(None) == []
assert not signal.disconnect(print)
try:
    signal.connect(print, weak=False)
except AttributeError:
    pass
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=20)


def test_a_uid_whose_receiver_died_untold(Signal):
    signal, other = Signal(), Signal()

    def connected():
        def receiver(**kwargs):
            return "old"

        signal.connect(receiver, dispatch_uid="uid")
        other.receivers = list(signal.receivers)
        assert responses(other) == ["old"]
        assert not other.disconnect(dispatch_uid="another")
        return receiver

    for operation in (
        lambda: other.disconnect(dispatch_uid="uid"),
        lambda: other.connect(first, dispatch_uid="uid"),
    ):
        receiver = connected()
        del receiver
        gc.collect()
        assert not other.has_listeners()
        assert operation() in (False, first)
    assert responses(other) == [1]


def test_entries_that_are_lists(signal):
    """Foreign entries are unpacked, whatever they are made of."""
    sender = type("Sender", (), {})()
    signal.receivers.append([("k", "other"), first])
    signal.connect(second, sender=sender)
    assert [response for _, response in signal.send(sender)] == [2]
    assert signal.disconnect(second, sender=sender)
    assert len(signal.receivers) == 1


@pytest.mark.parametrize("own_table", [True, False])
@pytest.mark.parametrize("change", ["clear", "insert"])
def test_comparing_a_sender_key_changes_the_table(signal, own_table, change):
    """What is disconnected is what was asked for, however the table looks by then."""
    sender, changes = type("Sender", (), {})(), []
    extra = (("first", "z"), first)

    class Key:
        def __hash__(self):
            return 7

        def __eq__(self, other):
            if changes:
                changes.pop()()
            return self is other

    if not own_table:
        signal.receivers = []
    signal.connect(second, sender=sender)
    signal.receivers.append((("k", Key()), first))
    signal.receivers.extend(((n, "z"), first) for n in range(3))
    signal.send(sender)
    table = signal.receivers
    changes.append(table.clear if change == "clear" else lambda: table.insert(0, extra))
    assert signal.disconnect(second, sender=sender)
    assert table == [] or (table[0] is extra and len(table) == 5)
    assert signal.send(sender) == []


@pytest.mark.parametrize("own_table", [True, False])
@pytest.mark.parametrize("change", ["nothing", "disconnect", "clear", "connect"])
@pytest.mark.parametrize("when", ["sending", "purging", "connecting", "disconnecting"])
def test_comparing_a_sender_key_sends(signal, own_table, change, when):
    """What is worked out anew meanwhile replaces nothing that is still being looked at."""
    sender, changes = type("Sender", (), {})(), []

    class Key:
        def __hash__(self):
            return hash(id(sender))

        def __eq__(self, other):
            while changes:
                changes.pop()()
            return self is other

    def change_and_send():
        if change == "disconnect":
            signal.disconnect(second)
        elif change == "clear":
            signal.receivers.clear()
        elif change == "connect":
            for n in range(50):
                signal.connect(first, dispatch_uid=f"more {n}")
        signal.send("another")
        gc.collect()

    if not own_table:
        signal.receivers = []
    signal.receivers.append((("k", Key()), first))
    signal.connect(first, sender=sender)
    signal.connect(second)
    signal.send("other")
    if when == "purging":
        signal.receivers.reverse()
    changes.append(change_and_send)
    if when == "connecting":
        signal.connect(second, sender=sender)
    elif when == "disconnecting":
        signal.disconnect(first, sender=sender)
    else:
        assert set(responses(signal, sender)) <= {1, 2}
    changes.clear()
    entries = [keys for keys, _ in signal.receivers]
    reached = sum(sender_key in (ANY, id(sender)) for _, sender_key in entries)
    assert len(signal.send(sender)) == len(signal.send(sender)) == reached


@pytest.mark.parametrize("own_table", [True, False])
def test_comparing_moves_what_is_disconnected(signal, own_table):
    moves = []

    class Key:
        def __hash__(self):
            return 7

        def __eq__(self, other):
            if moves:
                moves.pop()()
            return self is other

    if not own_table:
        signal.receivers = []
    table = signal.receivers
    table.append(((Key(), ANY), first))
    signal.connect(second)
    assert responses(signal) == [1, 2]
    moves.append(lambda: table.insert(0, table.pop()))
    assert signal.disconnect(second)
    assert responses(signal) == [1]
    assert len(table) == 1
    assert not signal.disconnect(second)


def test_comparing_a_sender_key_raises(signal):
    """A disconnection that fails leaves a connection that is not added again."""
    sender, errors = type("Sender", (), {})(), []

    class Key:
        def __hash__(self):
            return 7

        def __eq__(self, other):
            if errors:
                raise errors.pop()
            return self is other

    signal.connect(second, sender=sender)
    signal.receivers.append((("k", Key()), first))
    signal.send(sender)
    errors.append(LookupError())
    try:
        signal.disconnect(second, sender=sender)
    except LookupError:
        signal.connect(second, sender=sender)
        assert len(signal.receivers) == 2
        assert signal.disconnect(second, sender=sender)
    assert signal.send(sender) == []


class Listener:
    def method(self, **kwargs):
        return "method"

    def other(self, **kwargs):
        return "other"


@pytest.fixture
def while_asked(fastsig, monkeypatch):
    """Do something when a method is next asked whether it is alive, which is Python code."""
    kind = sys.modules["fastsig._shared"].MethodReference
    ask = kind.__call__

    def while_asked(action):
        def asked(self):
            monkeypatch.setattr(kind, "__call__", ask)
            action()
            return ask(self)

        monkeypatch.setattr(kind, "__call__", asked)

    return while_asked


def test_another_thread_while_a_method_is_disconnected(signal, while_asked):
    """In the end there are as many connections as if nothing else had changed."""
    one, two, three = Listener(), Listener(), Listener()
    for receiver in (one.method, two.method, two.other):
        signal.connect(receiver)

    def change():
        signal.disconnect(two.method)
        signal.disconnect(two.other)
        signal.connect(three.method)

    while_asked(change)
    assert signal.disconnect(one.method)
    assert responses(signal) == ["method"]
    assert signal.disconnect(three.method)
    assert signal.receivers == []


@pytest.mark.parametrize(
    "change",
    [
        lambda signal, keys: signal.receivers.__setitem__(0, (keys, first)),
        lambda signal, keys: setattr(signal, "receivers", [(keys, first)]),
        lambda signal, keys: setattr(signal, "receivers", [(k, r) for k, r in signal.receivers]),
    ],
)
def test_replaced_while_a_method_is_disconnected(signal, while_asked, change):
    """What has its keys by then is disconnected instead."""
    listener = Listener()
    signal.connect(listener.method)
    while_asked(lambda: change(signal, signal.receivers[0][0]))
    assert signal.disconnect(listener.method)
    assert signal.receivers == []


def put_aside(signal, sender):
    saved, signal.receivers = signal.receivers, []
    signal.send(sender)
    signal.receivers = saved


def take_out(signal, sender):
    saved, signal.receivers[:] = list(signal.receivers), []
    signal.send(sender)
    signal.receivers[:] = saved


def sort(signal, sender):
    signal.receivers.sort(key=lambda entry: len(signal.send(sender)))


@pytest.mark.parametrize("restored", [put_aside, take_out, sort])
def test_restored_connections_stay_their_senders(signal, collect, restored):
    """So factory_boy's `mute_signals` does; CPython empties a list while it sorts it."""

    class Sender:
        pass

    sender = Sender()
    signal.connect(first, sender=sender)
    signal.send(sender)
    restored(signal, sender)
    assert responses(signal, sender) == [1]
    del sender
    collect()
    assert signal.send(None) == []
    assert signal.receivers == []


def test_list_with_an_order_of_its_own(signal, collect):
    """What is in the list counts, and what died in it is purged."""

    class Reversed(list):
        def __iter__(self):
            return iter(self[::-1])

    def doomed(**kwargs):
        return "doomed"

    signal.receivers = Reversed()
    signal.connect(doomed)
    signal.connect(first)
    signal.connect(second)
    assert responses(signal) == ["doomed", 1, 2]
    del doomed
    collect()
    assert responses(signal) == [1, 2]
    assert len(signal.receivers) == 2
