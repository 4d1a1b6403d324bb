"""Fuzz the compiled engine: programs made of bytes, with the engine in plain Python as the oracle.

``python tools/fuzz.py [seconds] [folder of inputs]``.  With atheris, and an engine that is built
for it (`nox -s fuzz`), what the inputs reach in the compiled engine leads to the next ones; without
it, they are random.
"""

import contextlib
import functools
import gc
import importlib
import logging
import os
import random
import sys
import time
import weakref

ENGINES = "_compiled.send", "send_py"
NAMES = ["a", "b", "c", "signal", "sender", "self", "class", "naïve", *(f"n{i}" for i in range(20))]


class Failure(Exception):
    pass


class Sender:
    pass


class Named(str):
    pass


class Proxy:
    def __init__(self, target):
        self._target = target

    def _get_current_object(self):
        return self._target


class Liar:
    __class__ = str
    __hash__ = None

    def __eq__(self, other):
        raise Failure

    def __bool__(self):
        raise Failure


class Acting:
    """A sender that goes on with the program, and lies or raises, whatever it is asked."""

    def __init__(self, world):
        self.world = world

    def asked(self, *args):
        self.world.act()
        lies = [0, True, str, None, NotImplemented]
        if (lie := self.world.byte() % 8) >= len(lies):
            raise Failure
        return lies[lie]

    __eq__ = __hash__ = asked
    __class__ = property(asked)


class ActingName(Acting, str):
    def __new__(cls, world):
        return super().__new__(cls, "task")


class ActingProxy(Acting):
    def _get_current_object(self):
        self.world.compared = True
        self.asked()
        return self.world.senders[6]


LIAR = Liar()


class Reference(weakref.ref):
    """Somebody's own kind of reference, to be put in the table by hand."""

    __slots__ = ("other",)

    def __call__(self):
        return getattr(self, "other", None) or super().__call__()


class Key:
    """A key that does something when it is compared, and may lie or raise then."""

    def __init__(self, world, hashed):
        self.world, self.hashed = world, hashed

    def __hash__(self):
        return self.hashed

    def __eq__(self, other):
        self.world.compared = True
        for _ in range(self.world.byte() % 4):
            self.world.act()
            gc.collect()  # so that what was freed does not lie in a free list, as good as new
        lies = [self is other, self is other, True, NotImplemented, LIAR]
        return lies[self.world.byte() % len(lies)]


class Receiver:
    """A receiver of any form, that goes on with the program when it is called."""

    def __init__(self, world, tag, form):
        self.world, self.tag = world, tag

        def plain(signal, sender, **named):
            return self.told(sender, named)

        def picky(sender, a=1, *, b=2):
            return self.told(sender, {"a": a, "b": b})

        def positional(sender, /, a=3):
            return self.told(sender, {"a": a})

        forms = [plain, picky, positional, self.method, self.narrow, self]
        forms += [functools.partial(self.method), functools.partial(picky, a=5), Reference]
        self.target = forms[form % len(forms)]
        if form & 128 and form % len(forms) not in (3, 4, 8):
            self.target._dispatch_uid = None if form & 64 else "own"

    def method(self, **named):
        return self.told(named.pop("sender", None), named)

    def narrow(self, b, a=0, **others):
        return self.told(None, {"a": a, "b": b})

    def __call__(self, sender, *args, c=None, **named):
        return self.told(sender, {"c": c, **named})

    def told(self, sender, named):
        self.world.act()
        named = {name: value for name, value in named.items() if name not in ("signal", "sender")}
        return self.tag, self.world.number(sender), sorted(named.items())


class World:
    """One signal and a program for it; the program is read as it runs, also by receivers."""

    def __init__(self, engine, data):
        self.data, self.at, self.depth, self.acts = data, 0, 0, 0
        self.signal = type("Signal", (engine.RobustEngine,), dict(SIGNAL))()
        self.aside = self.signal.receivers
        self.senders = [None, "task", b"task", Named("task"), 10**20, LIAR]
        self.senders += [Sender(), Sender(), Proxy("task"), Sender().__init__]
        self.senders += [Proxy(self.senders[6]), Acting(self), ActingName(self)]
        self.receivers = []
        self.log = []
        # What happens then depends on how often an engine compares, or purges.
        self.compared = False

    def untold(self, reference):
        self.compared = True  # a signal is not told of this death, and may purge it sooner or later

    def put_aside(self):
        self.aside, self.signal.receivers = self.signal.receivers, self.signal.receivers[:2]

    def byte(self):
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def number(self, sender):
        return next((i for i, known in enumerate(self.senders) if known is sender), "gone")

    def sender(self):
        return self.senders[self.byte() % len(self.senders)]

    def receiver(self):
        return self.receivers[self.byte() % len(self.receivers)].target

    def act(self):
        """Do the next thing in the middle of another."""
        if self.depth < 3 and self.acts < 200:
            self.step()

    def step(self):
        self.depth += 1
        self.acts += 1
        what = OPERATIONS[self.byte() % len(OPERATIONS)]
        try:
            outcome = what(self)
        except Failure:
            if self.depth > 1 and self.byte() & 1:
                raise
            outcome = "failure"
        except (TypeError, AttributeError):  # the table was deleted, or an entry is malformed
            outcome = "refused"
            with contextlib.suppress(Failure, TypeError):
                self.signal.has_listeners()  # purges, as one engine may have before it refused
        except (ValueError, IndexError) as error:
            outcome = type(error).__name__
        finally:
            self.depth -= 1
        self.log.append((what.__name__, outcome))

    def run(self):
        self.receivers = [Receiver(self, tag, self.byte()) for tag in range(4)]
        while self.at < len(self.data) and self.acts < 200:
            self.step()
        self.at = len(self.data)
        for sender in self.senders:
            self.log.append(self.told(self.signal.send(sender, a=1, b=2)))
        self.log.append(len(getattr(self.signal, "receivers", ())))
        return self.log

    def told(self, responses):
        return [
            response if isinstance(response, tuple) else type(response).__name__
            for _, response in responses
        ]


def connect(world):
    world.signal.connect(
        world.receiver(), world.sender(), bool(world.byte() & 1), world.uid(world.byte())
    )


def disconnect(world):
    return world.signal.disconnect(
        world.receiver(), world.sender(), dispatch_uid=world.uid(world.byte())
    )


def uid(world, byte):
    return [None, "", "uid", 7, (1, 2), [], Key(world, 1), Key(world, 1)][byte % 8]


World.uid = uid


def send(world):
    sender, first, count = world.sender(), world.byte(), world.byte() % 25
    names = [NAMES[(first + i) % len(NAMES)] for i in range(count)]
    if first & 64:
        names = ["".join(list(name)) for name in names]  # not interned
    named = dict.fromkeys(names, count)
    if first & 128:
        named["sender"] = sender
        return world.told(world.signal.send(**named))
    return world.told(world.signal.send(sender, **named))


def send_wrongly(world):
    return world.told(world.signal.send(*[None] * (world.byte() % 3)))


def send_plainly(world):
    return world.told(world.signal.send("task", a=1))


def has_listeners(world):
    return world.signal.has_listeners(world.sender())


def new_receiver(world):
    world.receivers.append(Receiver(world, len(world.receivers), world.byte()))


def lose_receiver(world):
    if len(world.receivers) > 1:
        world.receivers.pop(world.byte() % len(world.receivers))
        gc.collect()


def replace_sender(world):
    byte = world.byte()
    world.senders[6 + byte % 2] = ActingProxy(world) if byte % 8 == 7 else Sender()


def fail(world):
    raise Failure


def change_code(world):
    target = world.receivers[world.byte() % len(world.receivers)].target
    function = getattr(target, "__func__", target)
    if hasattr(function, "__code__") and not function.__code__.co_freevars:
        function.__code__ = function.__code__.replace(co_name="other")


def change_table(world):
    world.signal.has_listeners()  # purges, so that both are of one length
    table, change = world.signal.receivers, world.byte()
    entry = (("outside", change % 4), world.receivers[0].target)
    if change % 4 == 0:
        entry = (("outside", id(None)), Reference(world.receivers[0], world.untold))
    elif change % 4 == 1:
        known = key(world.senders[5 + world.byte() % 3])
        entry = ((Key(world, 1), Key(world, hash(known))), world.receiver())
    changes = [
        lambda: table.append(entry),
        lambda: table.insert(0, entry),
        table.pop,
        table.reverse,
        table.clear,
        lambda: table.__setitem__(slice(0, 1), [entry]),
        lambda: table.extend(list(table)[:2]),
        lambda: table.remove(entry),
        lambda: table.sort(key=lambda entry: world.act() or len(entry)),
        lambda: table.extend([entry, entry[:1]]),
        lambda: setattr(world.signal, "receivers", list(table)),
        lambda: setattr(world.signal, "receivers", []),
        lambda: setattr(world.signal, "receivers", tuple(table)),
        world.put_aside,
        lambda: setattr(world.signal, "receivers", world.aside),
        lambda: delattr(world.signal, "receivers"),
    ]
    changes[change // 4 % len(changes)]()


def collect(world):
    gc.collect()


OPERATIONS = [connect, connect, connect, disconnect, send, send, send_plainly, send_wrongly]
OPERATIONS += [has_listeners, new_receiver, lose_receiver, replace_sender, fail, change_code]
OPERATIONS += [collect, change_table]  # 255, which libFuzzer likes, is the last one


def one(data):
    logs = []
    for engine in MODULES:
        world = World(engine, data)
        logs.append(world.run())
        if world.compared:
            return
    gc.collect()
    pairs = zip(*logs, strict=False)
    assert logs[0] == logs[1], "\n".join(f"{a} | {b}" for a, b in pairs if a != b)


def main(seconds="60", folder=None):
    try:
        import atheris
    except ImportError:
        atheris = None
    gc.disable()  # so that things die when the program says so
    gc.freeze()
    if atheris is not None:
        options = [
            f"-max_total_time={seconds}",
            "-max_len=400",
            "-len_control=0",
            "-timeout=60",
            "-rss_limit_mb=0",
        ]
        atheris.Setup([sys.argv[0], *options, *([folder] if folder else [])], one)
        atheris.Fuzz()
    seed = int(os.environ.get("FASTSIG_TEST_SEED", time.time()))
    print(f"FASTSIG_TEST_SEED={seed}")
    random.seed(seed)
    until, programs = time.monotonic() + float(seconds), 0
    while time.monotonic() < until:
        data = random.randbytes(random.randrange(8, 400))
        try:
            one(data)
        except BaseException:
            print(f"the program: {data!r}")
            raise
        programs += 1
    print(f"{programs} programs in {seconds} seconds")


import fastsig  # noqa: E402
from fastsig.engine import make_key as key  # noqa: E402

MODULES = [importlib.import_module(f"fastsig.engine.{engine}") for engine in ENGINES]
SIGNAL = {name: thing for name, thing in vars(fastsig.Signal).items() if callable(thing)}

if __name__ == "__main__":
    logging.getLogger("fastsig").disabled = True
    main(*sys.argv[1:])
