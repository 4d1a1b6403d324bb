"""One program in three worlds: on both cores, and on Celery's own class as the oracle.

A world has signals, senders, receivers and a record of all that happens in it: calls with their
arguments, results, log records, errors.  Hypothesis writes programs; what they leave in the
records, and in the tables, must be the same.

What fastsig does otherwise on purpose is in `Oracle`, and only that is tolerated.

They have a hundred thousand steps, or as many as fit in ``FASTSIG_TEST_MINUTES``.
"""

import functools
import importlib
import logging
import os
import re
import sys
import time
import weakref
from types import FunctionType

import pytest
from cores import CORES, load
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

local = pytest.importorskip("celery.local")
package = functools.cache(load)


class Failure(Exception):
    pass


class Abort(BaseException):
    pass


class Sender:
    def method(self):
        pass


class Unweak:
    __slots__ = ()


class Unhashable:
    __hash__ = None


class Name(str):
    """Not weakly referenceable, and known by its value."""

    __slots__ = ()


class Task:
    """As much of a task of Celery's as fastsig knows one by."""

    __trace__ = None

    def __init__(self, name="add"):
        self.name = name

    def apply_async(self):
        pass


class Kind:
    """What is connected with its subclasses and their instances."""


class Kin(Kind):
    pass


PARAMETERS = [
    "**k",
    "sender, **k",
    "signal, sender, a=0, **k",
    "*, b=0, **k",
    "b=0, sender=None, a=0, **k",
    "sender, /, **k",
    "task_id, **k",
    # Celery refuses the rest.
    "sender",
    "task_id, a=0",
    "*, b=0",
    "",
]
FORMS = ["function", "method", "object", "partial", "own uid", "unweak"]
SKIPPED = object()
NAMES = ["a", "b", "task_id", "other", "c"]
UIDS = [None, None, None, None, "uid", 7, ("uid", 7), "", []]


@functools.cache
def written(parameters, owner, gated):
    """Return what makes a receiver: a function, or one that is to be a method.

    One that is gated asks its world first whether it is alive.
    """
    who, first = ("self", "self, ") if owner else ("state", "")
    scope = {"SKIPPED": SKIPPED}
    exec(
        f"""
def make(state):
    def receiver({first}{parameters}):
        return {who}.act(dict(locals()))

    def gate({first}**arguments):
        if not {who}.world.has_turn({who}.tag):
            return SKIPPED
        return receiver({first}**arguments)

    gate.__qualname__, gate.gated = receiver.__qualname__, receiver
    return gate if {gated} else receiver
""",
        scope,
    )
    return scope["make"]


@functools.cache
def owning(parameters, gated):
    """Return a class whose instances are receivers, as such and by their method."""
    receiver = written(parameters, True, gated)(None)
    return type("Owner", (State,), {"__call__": receiver, "receiver": receiver})


class State:
    """What a receiver knows, and does when it is called."""

    def __init__(self, world, tag):
        self.world, self.tag = world, tag
        self.script, self.failures = None, 0
        self.retried, self.only = False, None

    def __repr__(self):
        return f"<{self.tag}>"

    def act(self, arguments):
        for name in ("state", "self"):
            arguments.pop(name, None)
        arguments.update(arguments.pop("k", {}))
        return self.world.called(self, arguments)


class Unweakable:
    __slots__ = ("state",)

    def __init__(self, state):
        self.state = state

    def __repr__(self):
        return repr(self.state)

    def __call__(self, **kwargs):
        return self.state.act(kwargs)


class Receiver:
    """The receiver in a slot of a world: when it is dropped, the receiver dies."""

    def __init__(self, world, tag, form, parameters):
        if form in ("method", "object"):
            self.state = owning(parameters, world.gated)(world, tag)
            self.target = self.state.receiver if form == "method" else self.state
        elif form == "unweak":
            self.state = State(world, tag)
            self.target = Unweakable(self.state)
        else:
            self.state = State(world, tag)
            self.target = function = written(parameters, False, world.gated)(self.state)
            if form == "partial":
                self.target = functools.partial(function)
            self.target.state = self.state
            if form == "own uid":
                self.target._dispatch_uid = f"own {tag % 2}"


def tag_of(receiver):
    owner = getattr(receiver, "__self__", receiver)
    return getattr(owner, "state", owner).tag


class World:
    """Signals, and what a program does with them."""

    gated = False
    FUEL = 12  # so many scripts run for one step

    def __init__(self, signals):
        self.signals = signals
        self.record = []
        self.tags = self.fuel = self.retries = 0
        self.receivers = [None] * 6
        self.senders = [None, "task", b"task", Name("task"), 0, Unhashable(), Unweak(), Sender()]
        self.senders += [Sender() for _ in range(3)]
        # Those that are meant: tasks and their names, classes and their instances.
        self.senders += ["add", Task(), Task(), Task("mul"), Kind, Kin()]
        self.sending = []
        for slot in range(3):
            self.step(("receiver", slot, 0, slot))

    def step(self, step):
        name, *arguments = step
        getattr(self, f"do_{name}")(*arguments)

    def run(self, step):
        """Take one step of the program."""
        self.fuel, self.retries = self.FUEL, 3
        try:
            self.step(step)
        except Failure:
            self.record.append("failure")
        except Abort:
            self.record.append("abort")

    def called(self, state, arguments):
        """Record a call, and do as the script of the receiver says; return the response."""
        signal = arguments.pop("signal", None)
        assert signal is None or signal in self.signals
        if "sender" in arguments:
            arguments["sender"] = self.slot_of(arguments["sender"])
        self.record.append(("called", state.tag, sorted(arguments.items())))
        if state.failures:
            state.failures -= 1
            raise Failure
        if state.script and self.fuel and len(self.sending) < 4:
            self.fuel -= 1
            self.step(state.script)
        return state.tag

    def slot_of(self, sender):
        if type(sender) is local.Proxy:
            return "proxy"
        sender = getattr(sender, "__self__", sender)
        return next(slot for slot, other in enumerate(self.senders) if sender is other)

    def sender(self, slot, form):
        """Return a sender, in one of the forms that it has."""
        sender = self.senders[slot % len(self.senders)]
        if form % 4 == 1 and type(sender) is Sender:
            return sender.method
        if form % 4 == 2:
            return local.Proxy(lambda: sender)
        return sender

    def how(self, slot, form):
        """Return for which senders to connect: one, several, or those of a class."""
        slot %= len(self.senders)
        if slot < MEANT:
            return {"sender": self.sender(slot, form)}
        sender = self.senders[slot]
        if sender is Kind and form % 3:
            return {"sender": Kind, "subclasses": True}
        if form % 5 < 2:
            other = MEANT + form // 5 % (len(self.senders) - MEANT)
            return {"senders": [sender, self.senders[other]]}
        return {"sender": self.sender(slot, form)}

    def attempt(self, operation):
        """Record what comes of an operation that may be refused."""
        try:
            self.record.append(operation())
        except (TypeError, AssertionError) as error:
            self.record.append(self.refused(error))

    def refused(self, error):
        return type(error)

    # The steps.

    def do_receiver(self, slot, form, parameters):
        self.do_receiver_dies(slot)
        self.tags += 1
        form, parameters = FORMS[form % len(FORMS)], PARAMETERS[parameters % len(PARAMETERS)]
        self.receivers[slot % 6] = self.receiver(self.tags, form, parameters)

    def receiver(self, tag, form, parameters):
        return Receiver(self, tag, form, parameters)

    def do_receiver_dies(self, slot, *_):
        self.receivers[slot % 6] = None

    def do_recode(self, slot, _, parameters):
        receiver = self.receivers[slot % 6]
        # How a function is called that another one wraps is worked out once.
        if receiver and isinstance(receiver.target, FunctionType) and not receiver.state.retried:
            other = self.receiver(0, "function", PARAMETERS[parameters % len(PARAMETERS)])
            receiver.state.only = other.state.only
            for name in ("__code__", "__defaults__", "__kwdefaults__"):
                function, new = (getattr(it.target, "gated", it.target) for it in (receiver, other))
                setattr(function, name, getattr(new, name))

    def do_script(self, slot, step):
        if self.receivers[slot % 6]:
            self.receivers[slot % 6].state.script = step

    def do_failures(self, slot, *_):
        if self.receivers[slot % 6]:
            self.receivers[slot % 6].state.failures = 1

    def do_fail(self, *_):
        raise Failure

    def do_abort(self, *_):
        raise Abort

    def do_sender_dies(self, slot, *_):
        slot = DYING[slot % len(DYING)]
        if not any(self.senders[slot] is sender for sender in self.sending):
            kind = type(self.senders[slot])
            self.senders[slot] = None
            self.senders[slot] = kind()
            self.settle()

    def settle(self):
        """Purge what died, and what died with that."""
        for signal in self.signals * 2:
            signal.has_listeners()

    def do_connect(self, slot, sender, options):
        signal, uid, options = self.options(options)
        receiver, how = self.receivers[slot % 6], self.how(sender, options)
        if receiver is None:
            return
        weak, form = options % 3 > 0, options // 4 % 5
        target, state = receiver.target, receiver.state
        del receiver
        if sender % len(self.senders) >= MEANT:
            if not hasattr(target, "_dispatch_uid"):  # two of one are taken for one now and then
                self.attempt(lambda: signal.connect(target, weak=weak, **how) is target)
            return
        sender = how["sender"]

        def connect():
            if form == 0:
                return signal.connect(target, sender, weak, uid) is target
            if form == 1:
                return signal.connect(sender=sender, weak=weak, dispatch_uid=uid)(target) is target
            if form == 2 and not hasattr(target, "_dispatch_uid"):
                wrapper = signal.connect(target, sender=sender, dispatch_uid=uid, retry=True)
                wrapper.state, state.retried = state, True
                return wrapper is not target
            if form == 3 and options % 8 == 0:
                return signal.connect(sender=sender)(state.tag)
            return signal.connect(target, sender=sender, weak=weak, dispatch_uid=uid) is target

        self.attempt(lambda: self.connecting(uid, connect))

    def connecting(self, uid, connect):
        return connect()

    def do_disconnect(self, slot, sender, options):
        signal, uid, options = self.options(options)
        receiver, how = self.receivers[slot % 6], self.how(sender, options)
        target = receiver and receiver.target
        if sender % len(self.senders) >= MEANT:
            uid = None
        self.attempt(
            lambda: self.connecting(uid, lambda: signal.disconnect(target, dispatch_uid=uid, **how))
        )

    def options(self, options):
        return self.signals[options % 2], UIDS[options // 2 % len(UIDS)], options // 2

    def do_has_listeners(self, _, sender, options):
        signal, _, options = self.options(options)
        self.record.append(signal.has_listeners(**self.how(sender, options)))

    def do_send(self, shape, sender, options):
        signal, _, options = self.options(options)
        self.send(signal, self.senders[sender % len(self.senders)], shape, options)

    def send(self, signal, sender, shape, options):
        names = dict.fromkeys(NAMES[shape % 5 : shape % 5 + shape // 5 % 3], shape)
        self.sending.append(sender)
        try:
            sender = local.Proxy(lambda it=sender: it) if options % 4 == 2 else sender
            if options % 3 == 0:
                send = functools.partial(signal.send, **names, sender=sender)
            elif options % 3 == 1:
                send = functools.partial(signal.send_robust, sender, **names)
            else:
                send = functools.partial(signal.send, sender, **names)
            # No local name for the responses: a traceback in them has this frame.
            self.record.append(self.responses(send()))
        finally:
            self.sending.pop()

    def responses(self, responses):
        return [
            (tag_of(receiver), response if type(response) is int else type(response))
            for receiver, response in responses
        ]

    def do_change(self, change, place, options):
        """Change a table from outside."""
        signal, _, options = self.options(options)
        self.settle()  # so that places mean the same
        table = signal.receivers
        sender_key = ["task", id(None)][place % 2]
        entry = ((f"key {place}", sender_key), outsider)
        place %= len(table) or 1

        def put_aside():
            signal.receivers = [entry]
            self.record.append(signal.has_listeners())
            signal.receivers = table
            assert signal.receivers is table

        seldom, small, some = options % 4 == 0, len(table) < 12, len(table) > 0
        changes = [
            (True, lambda: table.append(entry)),
            (some, lambda: table.pop(place)),
            (True, table.reverse),
            (seldom, table.clear),
            (some, lambda: table.__setitem__(place, entry)),
            (seldom, lambda: setattr(signal, "receivers", [])),
            (True, lambda: setattr(signal, "receivers", table[:])),
            (small, lambda: table.__setitem__(slice(place, place), [*table[-1:], entry])),
            (True, lambda: table.insert(-place, entry)),
            (small, lambda: table.__iadd__([entry, *table[:1]])),
            (some, lambda: table.remove(table[place])),
            (True, lambda: self.spoil(lambda: table.extend([entry, entry[:1]]))),
            (True, lambda: self.spoil(lambda: setattr(signal, "receivers", (entry,)))),
            (True, put_aside),
            (True, lambda: table.sort(key=lambda entry: str(tag_in(entry)))),
        ]
        may, make = changes[change]
        if may:
            make()
        self.settle()

    def spoil(self, change):
        """Make a change that is refused."""
        self.attempt(change)

    def tables(self):
        """Return the live connections, in terms of this world."""
        senders = {id(sender): slot for slot, sender in enumerate(self.senders)}
        tables = []
        self.settle()
        for signal in self.signals:
            table = []
            for entry in signal.receivers:
                receiver_key, sender_key = entry[0]
                if isinstance(sender_key, tuple) and sender_key[0] in ("class", sender_key[1]):
                    sender_key = "class"
                elif isinstance(sender_key, tuple):
                    sender_key = senders.get(sender_key[0]), "method"
                elif isinstance(sender_key, int):
                    sender_key = senders.get(sender_key, "another")
                if type(receiver_key) is int and receiver_key > 1000:
                    receiver_key = "id"
                elif type(receiver_key) is tuple and type(receiver_key[0]) is int:
                    receiver_key = "method"
                table.append((receiver_key, sender_key, is_weak(entry[1]), tag_in(entry)))
            tables.append(table)
        return tables


MEANT = 11  # from this slot on, the senders are reached under further keys
DYING = [*range(7, 11), 12, 13, 16]


class Standing:
    """Stands for a class and its subclasses: Celery's key of it is ``(id(class), id(class))``."""

    def __init__(self, kind):
        self.__self__ = self.__func__ = kind


def naive(dispatch):
    """Return Celery's class with senders as they are meant, looked for one by one."""

    class Naive(dispatch.Signal):
        world = None

        def connect(self, *args, senders=None, subclasses=False, **options):
            if senders is None and not subclasses:
                return super().connect(*args, **options)
            for each in self.listed(senders, subclasses, options):
                result = super().connect(*args, sender=each, **options)
            return result

        def disconnect(self, *args, senders=None, subclasses=False, **options):
            found = False
            for each in self.listed(senders, subclasses, options):
                found = super().disconnect(*args, sender=each, **options) or found
            return found

        def has_listeners(self, sender=None, senders=None, subclasses=False):
            return any(self._live_receivers(each) for each in senders or [sender])

        def listed(self, senders, subclasses, options):
            sender = options.pop("sender", None)
            return senders or [Standing(sender) if subclasses else sender]

        def further(self, sender):
            """Return under which further keys a sender is reached."""
            if type(sender) is str:
                tasks = [each for each in self.world.senders if type(each) is Task]
                return {id(task) for task in tasks if task.name == sender}
            kinds = [*type(sender).__mro__, *(sender.__mro__ if isinstance(sender, type) else ())]
            return {(id(kind), id(kind)) for kind in kinds} | {getattr(sender, "name", None)}

        def find(self, sender):
            """Return the entries that reach a sender."""
            sender = sender._get_current_object() if type(sender) is local.Proxy else sender
            own, further = {id(None), dispatch._make_id(sender)}, self.further(sender)
            found = [entry for entry in self.receivers if entry[0][1] in own | further]
            if all(entry[0][1] in own for entry in found):
                return found
            once, seen = [], set()
            for entry in found:
                if entry[0][1] != id(None):
                    if tag_in(entry) in seen:
                        continue
                    seen.add(tag_in(entry))
                once.append(entry)
            return once

        def _live_receivers(self, sender):
            with self.lock:
                self._clear_dead_receivers()
            found = [entry[1]() if is_weak(entry[1]) else entry[1] for entry in self.find(sender)]
            return [receiver for receiver in found if receiver is not None]

    return Naive


class Oracle(World):
    """Celery's class, and all that fastsig does otherwise on purpose.

    * A task and its name stand for each other, and a class may stand for its instances; who is
      reached by more than one of them is called once.
    * The connections of a dead sender are dead: Celery has them for whoever reuses its `id`.
    * A receiver that dies in the middle of a send, before its turn, is skipped: Celery keeps it
      alive, as it does those that failed, with their tracebacks.
    * A receiver without ``**kwargs`` gets the arguments that it names: Celery refuses it.
    * Unhashable senders always work.
    * An unhashable `dispatch_uid` is refused: Celery compares it.
    * What is not callable is a `TypeError`: with Celery an `AssertionError`.
    * A table is a list of connections: what is no list, or malformed, is refused.
    """

    gated = True

    class NoCache(dict):
        def get(self, sender):
            return None

    def __init__(self, signals):
        self.held = []  # by each send in progress: the tags of receivers that it keeps alive
        for signal in signals:
            signal.sender_receivers_cache, signal.world = self.NoCache(), self
        super().__init__(signals)

    def step(self, step):
        super().step(step)
        self.purge()

    def purge(self):
        """Take out of the tables what would be dead."""
        alive = self.alive()
        for signal in self.signals:
            if any(tag not in alive for tag in map(tag_in, signal.receivers)):
                signal.receivers[:] = [
                    entry for entry in signal.receivers if tag_in(entry) in alive
                ]

    def alive(self):
        alive = {receiver.state.tag for receiver in self.receivers if receiver}
        alive.update(*self.held)
        for signal in self.signals:
            alive.update(tag_in(entry) for entry in signal.receivers if not is_weak(entry[1]))
        return alive

    def do_sender_dies(self, slot, *_):
        old = list(self.senders)
        super().do_sender_dies(slot)
        gone = {id(sender) for sender in old} - {id(sender) for sender in self.senders}
        for signal in self.signals:
            signal.receivers[:] = [
                (keys, reference)
                for keys, reference in signal.receivers
                if (keys[1][0] if isinstance(keys[1], tuple) else keys[1]) not in gone
            ]

    def send(self, signal, sender, shape, options):
        self.held.append({tag_in(entry) for entry in signal.find(sender) if not is_weak(entry[1])})
        try:
            super().send(signal, sender, shape, options)
        finally:
            self.held.pop()
            self.purge()

    def has_turn(self, tag):
        if tag not in self.alive():
            return False
        self.held[-1].add(tag)  # by its response, also if it cannot take its arguments
        return True

    def called(self, state, arguments):
        self.held[-1].add(state.tag)
        if state.only is not None:
            arguments = {name: arguments[name] for name in arguments.keys() & state.only}
        return super().called(state, arguments)

    def responses(self, responses):
        return super().responses(pair for pair in responses if pair[1] is not SKIPPED)

    def receiver(self, tag, form, parameters):
        if "**k" in parameters or form == "unweak":
            return super().receiver(tag, form, parameters)
        receiver = super().receiver(tag, form, ", ".join(filter(None, [parameters, "**k"])))
        receiver.state.only = {*re.findall(r"[a-z_]+", parameters)}
        return receiver

    def connecting(self, uid, connect):
        if type(uid) is list:
            raise TypeError
        return connect()

    def spoil(self, change):
        self.record.append(TypeError)

    def refused(self, error):
        return TypeError


def is_weak(reference):
    return isinstance(reference, weakref.ReferenceType)


def tag_in(entry):
    """Return the tag of the receiver in an entry of a table."""
    receiver = entry[1]() if is_weak(entry[1]) else entry[1]
    return None if receiver is None else tag_of(receiver)


def outsider(**kwargs):
    return len(kwargs)


outsider.tag = "outsider"


class Recorder(logging.Handler):
    """Puts log records into the record of the world that they come from."""

    world = None

    def emit(self, record):
        if record.exc_info and record.exc_info[0] is TypeError:  # in Python's own words
            text = "TypeError"
        else:
            text = re.sub("0x[0-9a-f]+", "", record.getMessage())
        self.world.record.append((record.levelname, text))
        if "Retrying" in text:
            self.world.retries -= 1
            if not self.world.retries:
                raise Abort


STEPS = 100_000
NAMES_OF_STEPS = [
    *("send", "send", "send", "send", "connect", "connect", "connect", "connect"),
    *("receiver", "receiver", "receiver_dies", "recode", "failures", "fail", "abort"),
    *("sender_dies", "disconnect", "disconnect", "has_listeners", "change"),
]


def program(code):
    """Return the steps that `code` stands for: drawing them one by one takes far longer."""
    steps = []
    for name, first, second, third in zip(*[iter(code)] * 4, strict=False):
        if not name:  # what a program that fails is reduced to
            continue
        step = NAMES_OF_STEPS[name % len(NAMES_OF_STEPS)], first % 15, second % 17, third
        steps.append(("script", first // 15 % 6, step) if first >= 180 else step)
    return steps


class Program(RuleBasedStateMachine):
    cores = CORES
    steps = 0

    def __init__(self):
        super().__init__()
        Naive = naive(importlib.import_module("celery.utils.dispatch.signal"))
        self.worlds = [Oracle([Naive(), Naive()])]
        for core in self.cores:
            Signal = package(core).Signal
            self.worlds.append(World([Signal(), Signal(use_caching=True)]))

    @rule(code=st.binary(min_size=200, max_size=600))
    def run(self, code):
        steps = program(code)
        note(f"steps = {steps}")
        Program.steps += len(steps)
        for world in self.worlds:
            Recorder.world = world
            for step in steps:
                world.run(step)
        oracle, *others = self.worlds
        for world in others:
            assert world.record == oracle.record
            assert world.tables() == oracle.tables()
        for world in self.worlds:
            world.record.clear()


@pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="needs that what is dropped dies")
def test_program(request, monkeypatch, capsys):
    if only := request.config.getoption("--core"):
        monkeypatch.setattr(Program, "cores", [only])
    for sleep in ("time.sleep", "kombu.utils.functional.sleep"):
        monkeypatch.setattr(sleep, lambda seconds: None)
    for name in ("fastsig", "celery.utils.dispatch.signal"):
        # In the test itself: a handler of pytest's would keep tracebacks, and what they refer to.
        monkeypatch.setattr(logging.getLogger(name), "propagate", False)
        monkeypatch.setattr(logging.getLogger(name), "handlers", [Recorder()])
    end = time.monotonic() + 60 * float(os.environ.get("FASTSIG_TEST_MINUTES", "0"))
    once = settings(
        max_examples=80,
        stateful_step_count=15,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
    )
    while Program.steps < STEPS or time.monotonic() < end:
        run_state_machine_as_test(Program, settings=once)
    with capsys.disabled():
        print(f"{Program.steps} steps of the model ", end="")
