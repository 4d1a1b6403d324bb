"""``python no_memory.py OPERATION``: do it with one allocation failing, then with the next.

Each time it is done to a signal of its own.  Afterwards the signal must behave as one to which it
was done, or as one to which it was not.

(That all allocations fail from one on cannot be tried: CPython 3.11 then hangs, for ever trying
to make the number that a `finally` clause of a long function needs.)
"""

import ctypes
import gc
import logging
import sys
import weakref
from _testcapi import remove_mem_hooks, set_nomemory
from functools import cache, partial
from types import CodeType, FunctionType

PASSED = 8  # when nothing failed so often in a row, there is no further allocation
PAIRS = 2500  # CPython keeps up to 2000 of them that are free, and needs no memory for the next
SPARE = 1000  # more than one of them can fail
MANY = {f"name{i}": i for i in range(20)}

# CPython 3.13 up to 3.13.5 counts an item that `setdefault` had no memory to add to a dict, and
# then reads beyond those that are there (dict_setdefault_ref_lock_held,
# https://github.com/python/cpython/issues/109700).  So no index may grow, as at a sixth connection.
MAY_GROW = not (3, 13) <= sys.version_info < (3, 13, 6)


class Sender:
    pass


class Derived(Sender):
    pass


class Task:
    """As much of a task of Celery's as fastsig knows one by."""

    __trace__ = None

    def __init__(self, name):
        self.name = name

    def apply_async(self):
        pass


class Receiver:
    """A receiver of every form, that tells what it was called with."""

    def __init__(self, tag):
        self.tag = tag

    def method(self, sender, **named):
        return self.tag, sender, len(named)

    def __call__(self, sender, **named):
        return self.tag, sender, len(named)


class Failing(Receiver):
    def __call__(self, **named):
        raise ValueError(self.tag)


def taking(tag, value=None):
    """Stand behind a partial, whose names are looked up."""
    return tag, None, value


class Case:
    """A signal with connections, and what they are of."""

    def __init__(self):
        self.signal = Signal()
        self.value = object()
        self.senders = [None, "task", Sender(), Sender()]
        self.receivers = [Receiver(tag) for tag in "abc"]
        self.function = lambda sender, **named: ("function", sender, len(named))
        self.partial = partial(taking, "partial")
        self.failing = Failing("failing")
        self.connections = [
            (self.function, None),
            (self.receivers[1], None),
            (self.receivers[1].method, "task"),
            (self.receivers[2], self.senders[2]),
        ]
        if MAY_GROW:
            self.connections.append((self.receivers[0].method, None))
        self.connect()
        # What an operation may add to them.
        self.connections += [
            (self.failing, None),
            (self.partial, None),
            (self.receivers[0], None),
            (self.receivers[0].method, self.senders[3]),
        ]

    def connect(self):
        for receiver, sender in self.connections:
            self.signal.connect(receiver, **meant(sender))

    def parts(self):
        senders = [each for each in self.senders[2:] if type(each) is not str]
        return [self.signal, self.function, *senders, *self.receivers, self.failing]

    def send(self, sender=None, times=1, **named):
        for _ in range(times):
            responses = self.signal.send(sender, **named)
        return self.told(responses)

    def told(self, outcome):
        """Return an outcome in a form that can be compared with another case's."""
        if not isinstance(outcome, list):
            return self.place(outcome) if callable(outcome) else outcome
        told = []
        for receiver, response in outcome:
            if isinstance(response, tuple):
                tag, sender, named = response
                told.append((self.place(receiver), (tag, self.senders.index(sender), named)))
            else:
                told.append((self.place(receiver), type(response).__name__))
        return told

    def place(self, receiver):
        """Return the place of a receiver, if it is one, among the connections."""
        return next(
            (i for i, (known, _) in enumerate(self.connections) if known == receiver), receiver
        )

    def state(self):
        """Return how the signal behaves, which is no more of use then."""
        self.send()
        table = [keys for keys, _ in self.signal.receivers]
        places = [
            table.index(keys) if (keys := (key(receiver), key_of_sender(sender))) in table else None
            for receiver, sender in self.connections
        ]
        sends = [self.send(sender, value=1) for sender in self.senders]
        assert sends == [self.send(sender, value=1) for sender in self.senders]
        listeners = [self.signal.has_listeners(sender) for sender in self.senders]
        assert listeners == [bool(responses) for responses in sends]
        for (receiver, sender), place in zip(self.connections, places, strict=True):
            how = meant(sender)
            assert self.signal.connect(receiver, **how) is receiver
            assert len(self.signal.receivers) == len(table) + (place is None)
            assert self.signal.disconnect(receiver, **how)
            assert not self.signal.disconnect(receiver, **how)
            if place is not None:
                self.signal.connect(receiver, **how)
        for receiver, sender in self.connections:
            self.signal.disconnect(receiver, **meant(sender))
        assert self.signal.receivers == []
        assert self.send() == []
        return places, sends


class CaseOfTasks(Case):
    """A signal with connections for tasks, by object and by name, and for a class."""

    def __init__(self):
        super().__init__()
        self.signal = Signal()
        add, mul = Task("proj.add"), Task("proj.mul")
        self.senders = [None, "proj.add", mul, Derived(), add, Derived, "proj.mul", Task("other")]
        self.connections = [
            (self.function, None),
            (self.receivers[1].method, "proj.add"),
            (self.receivers[2], mul),
            (self.receivers[0].method, Subclasses(Sender)),
        ]
        self.connect()
        self.connections += [
            (self.partial, None),
            (self.receivers[1], add),
            (self.receivers[1], "proj.add"),
            (self.receivers[0], Subclasses(Derived)),
        ]


def meant(sender):
    """Return how to connect for a sender."""
    if type(sender) is Subclasses:
        return {"sender": sender.base, "subclasses": True}
    return {"sender": sender}


def key_of_sender(sender):
    return ("class", id(sender.base)) if type(sender) is Subclasses else key(sender)


def lose_a_receiver(case):
    case.send(times=2)
    del case.receivers[1], case.connections[1:3]


def lose_a_sender(case):
    case.send(times=2)
    case.senders[2] = Sender()
    del case.connections[3]


def change_the_code(case):
    case.send(times=2)
    case.function.__code__ = (lambda sender, **named: ("new", sender, len(named))).__code__


def replace_the_table(case):
    case.signal.receivers = list(case.signal.receivers)


def lose_a_task(case):
    case.send("proj.mul", times=2)
    case.senders[2] = Task("proj.mul")
    del case.connections[2]


def connect(receiver, sender=lambda case: None, after=lambda case: None):
    def prepare(case):
        after(case)
        return partial(case.signal.connect, receiver(case), sender(case))

    return prepare


def disconnect(receiver, sender=lambda case: None, after=lambda case: None):
    def prepare(case):
        after(case)
        return partial(case.signal.disconnect, receiver(case), sender(case))

    return prepare


def send(place=0, after=lambda case: None, **named):
    def prepare(case):
        after(case)
        return partial(case.signal.send, case.senders[place], **named)

    return prepare


def outside(case):
    return (key(case.partial), key(None)), case.partial


def take_a_table_back(case):
    table = case.signal.receivers
    case.signal.receivers = table[:2]
    return partial(setattr, case.signal, "receivers", table)


# Those that call no function written in Python.  CPython itself (3.10 to 3.12) never lets go of the
# arguments of a call for which it has no memory, so of the others it cannot be told who leaks.
NO_PYTHON = [
    *("disconnect", "disconnect_from_sender", "send_planned", "send_20_names_planned"),
    *("append", "insert", "remove"),
]
if sys.version_info >= (3, 13):  # before, nor of a list that it has no memory to copy (list_extend)
    NO_PYTHON += ["change_a_slice", "assign", "take_a_table_back"]

# Each prepares a case, and returns what is then to be called.
OPERATIONS = {
    "connect": connect(lambda case: case.partial),
    "connect_strongly": lambda case: partial(case.signal.connect, case.partial, weak=False),
    "connect_again": connect(lambda case: case.function),
    "connect_method": connect(lambda case: case.receivers[0].method, lambda case: case.senders[3]),
    "connect_after_send": connect(
        lambda case: case.receivers[0], after=lambda case: case.send(times=2)
    ),
    "connect_after_a_death": connect(lambda case: case.receivers[0], after=lose_a_receiver),
    "connect_in_a_new_table": connect(lambda case: case.receivers[0], after=replace_the_table),
    "disconnect": disconnect(lambda case: case.function),
    "disconnect_from_sender": disconnect(
        lambda case: case.receivers[2],
        lambda case: case.senders[2],
        after=lambda case: case.send(times=2),
    ),
    "disconnect_in_a_new_table": disconnect(lambda case: case.function, after=replace_the_table),
    "send": send(),
    "send_one_name": send(value=1),
    "send_to_one_sender": send(2, value=1, task_id=2),
    "send_to_a_name": send(1, value=1, task_id=2, other=3),
    "send_planned": send(value=1, after=lambda case: case.send(times=2, value=1)),
    "send_20_names": send(**MANY),
    "send_20_names_planned": send(1, after=lambda case: case.send("task", times=2, **MANY), **MANY),
    "send_after_a_connect": send(
        value=1, after=lambda case: (case.send(), case.signal.connect(case.receivers[0]))
    ),
    "send_to_new_code": send(value=1, after=change_the_code),
    "send_to_a_partial": send(value=1, after=lambda case: case.signal.connect(case.partial)),
    "send_to_a_failing_one": send(value=1, after=lambda case: case.signal.connect(case.failing)),
    "send_after_a_death": send(value=1, after=lose_a_receiver),
    "send_after_a_senders_death": send(value=1, after=lose_a_sender),
    "send_after_a_change": send(
        value=1, after=lambda case: (case.send(times=2), case.signal.receivers.reverse())
    ),
    "has_listeners": lambda case: partial(case.signal.has_listeners, case.senders[2]),
    "append": lambda case: partial(case.signal.receivers.append, outside(case)),
    "insert": lambda case: partial(case.signal.receivers.insert, 0, outside(case)),
    "remove": lambda case: partial(case.signal.receivers.remove, case.signal.receivers[1]),
    "sort": lambda case: partial(
        case.signal.receivers.sort, key=lambda entry: isinstance(entry[0][1], int)
    ),
    "change_a_slice": lambda case: partial(
        case.signal.receivers.__setitem__, slice(1, 4, 2), [outside(case), case.signal.receivers[1]]
    ),
    "assign": lambda case: partial(setattr, case.signal, "receivers", [outside(case)]),
    "take_a_table_back": take_a_table_back,
}

# Of senders as they are meant.
OF_TASKS = {
    "connect_to_a_task": connect(lambda case: case.receivers[1], lambda case: case.senders[4]),
    "connect_to_a_class": lambda case: partial(
        case.signal.connect, case.receivers[0], Derived, subclasses=True
    ),
    "disconnect_from_a_name": disconnect(
        lambda case: case.receivers[1].method,
        lambda case: "proj.add",
        after=lambda case: case.send("proj.add", times=2),
    ),
    "disconnect_from_a_task": disconnect(
        lambda case: case.receivers[2],
        lambda case: case.senders[2],
        after=lambda case: case.send("proj.mul", times=2),
    ),
    "disconnect_from_a_class": lambda case: partial(
        case.signal.disconnect, case.receivers[0].method, Sender, subclasses=True
    ),
    "send_by_name_from_the_task": send(4, value=1),
    "send_by_name_from_the_task_again": send(
        4, value=1, after=lambda case: case.send(case.senders[4], times=2, value=1)
    ),
    "send_by_task_from_the_name": send(6, value=1),
    "send_by_task_from_the_name_again": send(
        6, value=1, after=lambda case: case.send("proj.mul", times=2, value=1)
    ),
    "send_by_class_from_an_instance": send(3, value=1),
    "send_by_class_from_the_class": send(5, value=1),
    "send_by_class_after_a_connect": send(
        3,
        value=1,
        after=lambda case: (case.send(case.senders[3]), case.signal.connect(case.partial)),
    ),
    "send_from_a_strange_task": send(7, value=1),
    "send_after_a_tasks_death": send(6, value=1, after=lose_a_task),
    "has_listeners_of_several": lambda case: partial(
        case.signal.has_listeners, senders=["nobody", case.senders[4]]
    ),
    "has_listeners_of_a_class": lambda case: partial(
        case.signal.has_listeners, Derived, subclasses=True
    ),
}
OPERATIONS |= OF_TASKS

# Each sender is a connection of its own: what it may be halfway.
HALFWAY = {}
if MAY_GROW:
    OPERATIONS["connect_several"] = lambda case: partial(
        case.signal.connect, case.receivers[1], senders=[case.senders[4], "proj.add"]
    )
    OF_TASKS["connect_several"] = OPERATIONS["connect_several"]
    HALFWAY["connect_several"] = OPERATIONS["connect_to_a_task"]


def make_case(name):
    return CaseOfTasks() if name in OF_TASKS else Case()


def spare(code):
    """Give the code of the functions that `code` makes references to spare.

    CPython 3.12 and 3.13 drop one too many whenever they have no memory for a function, or for a
    generator expression (MAKE_FUNCTION, https://github.com/python/cpython/issues/122752).
    """
    for constant in code.co_consts:
        if type(constant) is CodeType:
            for _ in range(SPARE):
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(constant))
            spare(constant)


def attempt(name, first, last):
    """Do it with the allocations from `first` to `last` failing; return the case and the outcome.

    The outcome is `MemoryError` if that was raised.
    """
    case = make_case(name)
    action = OPERATIONS[name](case)
    _pairs = [(n, n) for n in range(PAIRS)]
    set_nomemory(first, last)
    try:
        outcome = action()
    except (MemoryError, SystemError):  # CPython may lose an exception that it has no memory for
        outcome = MemoryError
    finally:
        remove_mem_hooks()
    return case, case.told(outcome)


def lets_go(name):
    """Tell whether it is known that the interpreter leaks nothing here."""
    return compiled and name in NO_PYTHON


def check(name, first, last):
    """Do it so and look at what became of the signal; tell whether it was done all the same."""
    *undone, done, right = expected(name)
    case, outcome = attempt(name, first, last)
    if isinstance(outcome, list):  # a receiver, too, may have had no memory
        assert [receiver for receiver, _ in outcome] == [receiver for receiver, _ in right]
        for (_, response), (_, right_one) in zip(outcome, right, strict=True):
            assert response in (right_one, "MemoryError", "SystemError"), outcome
    else:
        assert outcome in (right, MemoryError)
    parts = [weakref.ref(part) for part in case.parts()]
    state = case.state()
    assert state == done or (state in undone and outcome is MemoryError), (undone, done, state)
    del case
    if lets_go(name):
        if sys.version_info < (3, 11):  # there the traceback of a response is part of a cycle
            gc.collect()
        assert not any(part() is not None for part in parts), "something is kept alive"
    return outcome == right


@cache
def expected(name):
    """Return how a signal behaves without the operation and with it, and its right outcome.

    Before the last two, all that it may be if there was no memory.
    """
    without, case = make_case(name), make_case(name)
    OPERATIONS[name](without)
    outcome = case.told(OPERATIONS[name](case)())
    undone = [without.state()]
    if name in HALFWAY:
        halfway = make_case(name)
        HALFWAY[name](halfway)()
        undone.append(halfway.state())
    return *undone, case.state(), outcome


def every(name, length):
    """Let every allocation fail, and the next ones up to `length`; return how many there were."""
    first = passed = 0
    while passed < PASSED:
        try:
            passed = passed + 1 if check(name, first, first + length) else 0
        except BaseException:
            print(f"{name}: {length} from allocation {first} on fail")
            raise
        first += 1 if first < 300 else 23  # they are those of the compiler, at the pure core
    return first


def main(name):
    logging.getLogger("fastsig").addHandler(logging.NullHandler())
    expected(name)  # which imports all that it needs
    for thing in gc.get_objects():
        if type(thing) is FunctionType:
            spare(thing.__code__)
    blocks = []
    # CPython keeps what is free, 3.10 for long ever more of it; what leaks does so each time.
    while len(blocks) < 4 or blocks[-1] - blocks[-3] >= 4:
        assert len(blocks) < 20, blocks
        failed = [every(name, length) for length in (1, 3)]
        gc.collect()
        blocks.append(sys.getallocatedblocks())
        if not lets_go(name):
            break
    print(f"{name}: {failed} allocations, {blocks} blocks")
    assert min(failed)


if __name__ == "__main__":
    from fastsig import Signal, compiled
    from fastsig.engine import Subclasses
    from fastsig.engine import make_key as key

    main(*sys.argv[1:])
