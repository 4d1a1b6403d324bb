"""``python growth.py WORK TIMES``: repeat an operation, and check that memory does not grow."""

import contextlib
import gc
import logging
import os
import sys


class Sender:
    pass


class Task(Sender):
    """As much of a task of Celery's as fastsig knows one by."""

    __trace__ = None

    def __init__(self, name):
        self.name = name

    def apply_async(self):
        pass


class Listener:
    def method(self, sender, value=None, **named):
        return value

    def __call__(self, **named):
        return named


class Work:
    """A signal, and what is done to it again and again; each method is a work of its own."""

    def __init__(self):
        self.signal = Signal()
        self.sender = Sender()
        self.task = Task("proj.add")
        self.listener = Listener()
        self.function = lambda value=None, **named: value
        self.value = object()

    def connect(self):
        for receiver in (self.function, self.listener, self.listener.method):
            self.signal.connect(receiver)
            self.signal.connect(receiver, sender=self.sender)
            self.signal.connect(receiver, sender="name")

    def sends(self, i):
        if i == 0:
            self.connect()
        self.signal.send(self.sender, value=self.value)
        self.signal.send("name", value=self.value, other=i)
        self.signal.send(None)

    def many_arguments(self, i):
        if i == 0:
            self.connect()
        self.signal.send(self.sender, **{f"name{n}": self.value for n in range(20)})

    def call_shapes(self, i):
        if i == 0:
            self.connect()
        self.signal.send(self.sender, **{f"name{i % 50}": self.value, "value": i})

    def connections(self, i):
        for sender in (None, self.sender, "name"):
            self.signal.connect(self.function, sender)
            self.signal.connect(self.listener.method, sender)
            self.signal.disconnect(self.listener.method, sender)
            self.signal.disconnect(self.function, sender)

    def connections_and_sends(self, i):
        self.signal.connect(self.listener.method, self.sender)
        self.signal.send(self.sender, value=self.value)
        self.signal.disconnect(self.listener.method, self.sender)
        self.signal.send(self.sender, value=self.value)

    def senders(self, i):
        sender = Sender()
        self.signal.connect(self.function, sender)
        self.signal.send(sender, value=self.value)
        self.signal.has_listeners(sender)

    def names_of_senders(self, i):
        self.signal.connect(self.function, f"sender {i}")
        self.signal.send(f"sender {i}", value=self.value)
        self.signal.disconnect(self.function, f"sender {i}")

    def strangers(self, i):
        if i == 0:
            self.connect()
        self.signal.send(Sender(), value=self.value)
        self.signal.send(f"stranger {i}", value=self.value)

    def connect_for_tasks(self):
        for receiver in (self.function, self.listener.method):
            self.signal.connect(receiver, senders=["proj.add", self.task])
            self.signal.connect(receiver, sender="proj.mul")
            self.signal.connect(receiver, sender=Sender, subclasses=True)

    def tasks_and_names(self, i):
        """Those that are connected, and others of the same name, which die."""
        if i == 0:
            self.connect_for_tasks()
        for sender in (self.task, "proj.add", Task("proj.add"), Task("proj.mul"), "proj.mul"):
            self.signal.send(sender, value=self.value)
            self.signal.has_listeners(sender)

    def strange_tasks(self, i):
        """Tasks and names, ever new ones, that are connected by their class, or not at all."""
        if i == 0:
            self.connect_for_tasks()
        self.signal.send(Task(f"stranger {i}"), value=self.value)
        self.signal.send(f"stranger {i}", value=self.value)
        self.signal.has_listeners(senders=[Task("proj.add"), f"stranger {i}"])

    def connections_of_tasks(self, i):
        task = Task(f"task {i}")
        for senders in ([task.name, task], [self.task, task]):
            self.signal.connect(self.listener.method, senders=senders)
            for sender in (task, task.name, "proj.add"):
                self.signal.send(sender, value=self.value)
            self.signal.disconnect(self.listener.method, senders=senders)

    def tasks_die(self, i):
        """What was connected for them goes with them."""
        task = Task("short")
        self.signal.connect(self.function, senders=[self.task, task])
        self.signal.connect(self.listener.method, sender=task)
        self.signal.send("short", value=self.value)

    def classes(self, i):
        """Classes are connected, and die; their instances send."""
        if i == 0:
            self.connect_for_tasks()
        kind = type("Kind", (Sender,), {})
        self.signal.connect(self.function, sender=kind, subclasses=True)
        self.signal.send(kind(), value=self.value)
        self.signal.send(kind, value=self.value)
        if i % 2:
            self.signal.disconnect(self.function, sender=kind, subclasses=True)
        del kind
        if i % 50 == 0:
            gc.collect()  # a class is a cycle

    def instances(self, i):
        if i == 0:
            self.connect_for_tasks()
        self.signal.send(Sender(), value=self.value)
        self.signal.send(Task("stranger"), value=self.value)

    def receivers(self, i):
        listener = Listener()
        self.signal.connect(listener.method)
        self.signal.connect(listener, self.sender)
        self.signal.send(self.sender, value=self.value)

    def failing_receivers(self, i):
        def failing(value, **named):
            local = "x" * 1000
            raise ValueError(value, local)

        self.signal.connect(failing)
        self.signal.send(self.sender, value=self.value)

    def one_failing_receiver(self, i):
        if i == 0:
            self.signal.connect(fail)
            self.connect()
        self.signal.send(self.sender, value=self.value)

    def new_code(self, i):
        if i == 0:
            self.connect()
        self.function.__code__ = self.function.__code__.replace(co_firstlineno=i % 1000 + 1)
        self.signal.send(self.sender, value=self.value)

    def wrong_sends(self, i):
        for args in ((), (None, None)):
            with contextlib.suppress(TypeError):
                self.signal.send(*args, value=self.value)

    def changes_of_the_table(self, i):
        if i == 0:
            self.connect()
        self.signal.receivers.reverse()
        self.signal.send(self.sender, value=self.value)
        self.signal.receivers = list(self.signal.receivers)
        self.signal.send(self.sender, value=self.value)

    def signals(self, i):
        self.signal = Signal()
        self.connect()
        self.signal.send(self.sender, value=self.value)

    def size(self):
        """Return the reference counts and the blocks there are, and the resident memory."""
        gc.collect()
        self.signal.has_listeners()  # takes out what died just now
        gc.collect()
        things = [self.signal, self.sender, self.task, self.listener, self.function, self.value]
        things += [Sender, Task]
        counts = [sys.getrefcount(thing) for thing in things]
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        return counts, sys.getallocatedblocks(), pages * os.sysconf("SC_PAGE_SIZE")


def fail(value, **named):
    local = "x" * 1000
    raise ValueError(value, local)


WORKS = [name for name, do in vars(Work).items() if callable(do) and do.__code__.co_argcount == 2]


def main(name, times):
    logging.getLogger("fastsig").addHandler(logging.NullHandler())
    work = Work()
    do = getattr(work, name)
    for i in range(2000):
        do(i)
    work.size()
    before = work.size()
    for i in range(1, int(times) + 1):
        do(i)
    after = work.size()
    print(f"{name}, {times} times: {before}, {after}")
    assert after[0] == before[0], "references are kept"
    assert after[1] - before[1] < 30, "blocks are kept"
    assert after[2] - before[2] < 1 << 19, "memory is kept"


if __name__ == "__main__":
    from fastsig import Signal

    main(*sys.argv[1:])
