"""One program, three signals: on both cores and of Celery's own class, with the same outcome.

What fastsig does otherwise on purpose is written down here, and only that is tolerated:

* connections of a dead sender are dead (Celery keeps them for whoever reuses its `id`), so the
  program takes them out of Celery's table when it lets a sender die;
* receivers that do not take ``**kwargs`` and receivers that die in the middle of a send are left
  out (other tests have them).
"""

import functools
import gc
import importlib
import logging
import os
import weakref

import pytest
from cores import CORES, load
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

pytest.importorskip("celery")


package = functools.cache(load)


class Sender:
    pass


class Receiver:
    """A receiver of any form, which does as its script says when it is called."""

    def __init__(self, tag, form):
        self.tag = tag
        self.script = None
        if form == "function":
            self.target = lambda **kwargs: self.act(**kwargs)
        elif form == "method":
            self.target = self.act
        else:
            self.target = self

    def __call__(self, **kwargs):
        return self.act(**kwargs)

    def act(self, signal, sender, depth=0, **kwargs):
        if self.script and not depth:
            self.script(signal)
        return self.tag, sorted(kwargs), depth


class Failure(Exception):
    def __eq__(self, other):
        return isinstance(other, Failure)

    __hash__ = None


NAMES = st.lists(st.sampled_from(["a", "b", "c", "task_id", "self"]), unique=True, max_size=4)
UIDS = st.sampled_from([None, None, None, "uid", 7, ("uid", 7), ""])
SHORT_OF_SELF = NAMES.map(lambda names: [name for name in names if name != "self"])


class Program(RuleBasedStateMachine):
    cores = CORES

    @initialize()
    def start(self):
        os.environ["FASTSIG_CELERY"] = "0"
        dispatch = importlib.import_module("celery.utils.dispatch.signal")
        dispatch.logger.disabled = True
        self.signals = [dispatch.Signal()]
        for core in self.cores:
            signal = package(core).Signal()
            logging.getLogger("fastsig").disabled = True
            self.signals.append(signal)
        self.receivers = {}
        self.senders = [None, "task", b"task", *(Sender() for _ in range(3))]
        self.tags = 0

    def same(self, operation):
        outcomes = []
        for signal in self.signals:
            try:
                outcomes.append(operation(signal))
            except Failure:
                outcomes.append("failure")
        assert all(outcome == outcomes[0] for outcome in outcomes)

    def pick(self, data, what):
        things = self.senders if what == "sender" else list(self.receivers.values())
        return things[data.draw(st.integers(0, len(things) - 1), label=what)]

    @rule(form=st.sampled_from(["function", "method", "object"]))
    def new_receiver(self, form):
        self.tags += 1
        self.receivers[self.tags] = Receiver(self.tags, form)

    @precondition(lambda self: self.receivers)
    @rule(data=st.data(), uid=UIDS, weak=st.booleans(), form=st.integers(0, 2))
    def connect(self, data, uid, weak, form):
        receiver, sender = self.pick(data, "receiver").target, self.pick(data, "sender")
        options = {"sender": sender, "weak": weak, "dispatch_uid": uid}
        self.same(
            lambda signal: (
                signal.connect(receiver, **options)
                if form == 0
                else signal.connect(receiver, sender, weak, uid)
                if form == 1
                else signal.connect(**options)(receiver)
            )
        )

    @precondition(lambda self: self.receivers)
    @rule(data=st.data(), uid=UIDS)
    def disconnect(self, data, uid):
        receiver, sender = self.pick(data, "receiver").target, self.pick(data, "sender")
        self.same(lambda signal: signal.disconnect(receiver, sender, dispatch_uid=uid))

    @rule(data=st.data(), names=SHORT_OF_SELF, by_name=st.booleans())
    def send(self, data, names, by_name):
        sender, named = self.pick(data, "sender"), dict.fromkeys(names, 1)
        if by_name:
            self.same(lambda signal: signal.send(**named, sender=sender))
        else:
            self.same(lambda signal: signal.send_robust(sender, **named))

    @rule(data=st.data())
    def has_listeners(self, data):
        sender = self.pick(data, "sender")
        self.same(lambda signal: signal.has_listeners(sender))

    @precondition(lambda self: len(self.receivers) > 1)
    @rule(
        data=st.data(),
        action=st.sampled_from(["connect", "disconnect", "send", "raise", "mutate", "empty"]),
    )
    def script(self, data, action):
        """Give a receiver something to do to the signal that calls it."""
        receiver, other = self.pick(data, "receiver"), self.pick(data, "receiver").target
        sender = self.pick(data, "sender")

        def script(signal):
            if action == "connect":
                signal.connect(other, sender)
            elif action == "disconnect":
                signal.disconnect(other, sender)
            elif action == "send":
                return signal.send(sender, depth=1)
            elif action == "raise":
                raise Failure
            elif action == "mutate":
                signal.receivers.reverse()
            else:
                signal.receivers[:] = []
            return None

        receiver.script = script

    @precondition(lambda self: self.receivers)
    @rule(data=st.data())
    def receiver_dies(self, data):
        tag = self.pick(data, "receiver").tag
        for receiver in self.receivers.values():
            receiver.script = None  # may refer to the one that dies
        del self.receivers[tag]
        gc.collect()

    @rule(place=st.integers(3, 5))
    def sender_dies(self, place):
        for receiver in self.receivers.values():
            receiver.script = None
        gone = id(self.senders[place])
        self.senders[place] = None
        gc.collect()
        self.signals[0].receivers[:] = [
            entry for entry in self.signals[0].receivers if entry[0][1] != gone
        ]
        self.senders[place] = Sender()

    @rule(
        change=st.sampled_from(["append", "pop", "reverse", "clear", "item", "assign", "copy"]),
        data=st.data(),
    )
    def change_the_table(self, change, data):
        sender = data.draw(st.sampled_from(["task", None]))
        entry = ((f"key {self.tags}", id(None) if sender is None else sender), outsider)

        def operation(signal):
            table = signal.receivers
            if change == "append":
                table.append(entry)
            elif change == "pop" and table:
                table.pop(len(table) // 2)
            elif change == "reverse":
                table.reverse()
            elif change == "clear":
                table.clear()
            elif change == "item" and table:
                table[-1] = entry
            elif change == "assign":
                signal.receivers = []
            elif change == "copy":
                signal.receivers = table[:]

        self.same(operation)

    @invariant()
    def tables_agree(self):
        if not hasattr(self, "signals"):
            return
        for sender in (None, "task", self.senders[-1]):
            self.same(lambda signal, sender=sender: signal.send(sender, depth=1))
        tables = [
            [keys for keys, reference in signal.receivers if not is_dead(reference)]
            for signal in self.signals
        ]
        assert all(table == tables[0] for table in tables)
        assert len(tables[1]) == len(self.signals[1].receivers)


def outsider(**kwargs):
    return "outsider", sorted(kwargs.keys() - {"signal"})


def is_dead(reference):
    return isinstance(reference, weakref.ReferenceType) and reference() is None


def test_program(request, monkeypatch):
    if only := request.config.getoption("--core"):
        monkeypatch.setattr(Program, "cores", [only])
    examples = int(os.environ.get("FASTSIG_TEST_EXAMPLES", "40"))
    steps = settings(max_examples=examples, stateful_step_count=50, deadline=None)
    gc.collect()
    gc.freeze()  # it is collected at every other step: what is there already need not be looked at
    try:
        run_state_machine_as_test(Program, settings=steps)
    finally:
        gc.unfreeze()
