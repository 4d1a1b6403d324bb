"""Programs that use Django's signals, and what they return with Django alone and with fastsig.

    python django_programs.py {stock,before,late}

runs all of them, and prints what they return as JSON.  ``before`` installs fastsig before
`django.setup`, ``late`` after the signals below were made, connected and sent.
"""

import asyncio
import copy
import functools
import gc
import inspect
import json
import logging
import pickle
import sys
import warnings
import weakref
from unittest import mock

from django.conf import settings

PROGRAMS = {}


def program(function):
    PROGRAMS[function.__name__] = function
    return function


class Sender:
    pass


class Other:
    pass


def one(**kwargs):
    return 1, sorted(set(kwargs) - {"signal"})


def two(sender, signal, **kwargs):
    return 2, sender is Sender, type(signal).__name__


class Listener:
    def method(self, **kwargs):
        return "method", sorted(kwargs)

    def __call__(self, **kwargs):
        return "called", sorted(kwargs)


def shown(responses):
    return [(getattr(receiver, "__name__", "?"), response) for receiver, response in responses]


def new(**options):
    from django.dispatch import Signal

    return Signal(**options)


def error(function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except Exception as raised:
        return type(raised).__name__, str(raised)
    return None


def each_way(check):
    """Return what a function returns for signals with and without a cache."""
    return [check(new()), check(new(use_caching=True))]


@program
def order_and_arguments():
    def check(signal):
        signal.connect(one)
        signal.connect(two, sender=Sender)
        signal.connect(one, sender=Sender)
        sends = [signal.send(Sender, a=1, b=2), signal.send(sender=Other), signal.send(Sender)]
        sends += [signal.send(sender=Sender, b=1), signal.send(a=1, sender=Other)]
        assert all(type(each) is list for each in sends)
        assert signal.send(Sender)[0][0] is one
        return [shown(each) for each in sends]

    return each_way(check)


@program
def entries():
    signal = new()
    listener = Listener()
    signal.connect(one)
    signal.connect(listener.method, sender=Sender)
    signal.connect(listener, weak=False, dispatch_uid="uid")
    kinds = [[type(part).__name__ for part in entry] for entry in signal.receivers]
    keys = [entry[0] for entry in signal.receivers]
    ids = id(listener), id(Listener.method)
    assert keys == [(id(one), id(None)), (ids, id(Sender)), ("uid", id(None))], keys
    return len(signal.receivers), [
        [k.replace("MethodReference", "WeakMethod") for k in kind] for kind in kinds
    ]


@program
def twice_and_away():
    def check(signal):
        seen = []
        for _ in range(2):
            signal.connect(one)
            signal.connect(one, sender=Sender)
            signal.connect(one, dispatch_uid="uid")
            signal.connect(two, dispatch_uid="uid")
        seen.append(shown(signal.send(Sender)))
        seen.append(signal.disconnect(one))
        seen.append(signal.disconnect(one))
        seen.append(signal.disconnect(two, dispatch_uid="uid"))
        seen.append(signal.disconnect(dispatch_uid="uid"))
        seen.append(signal.disconnect(one, Sender))
        seen.append(signal.send(Sender))
        return seen, signal.receivers

    return each_way(check)


@program
def death():
    def check(signal):
        def local(**kwargs):
            return "local"

        listener = Listener()
        signal.connect(local)
        signal.connect(listener.method)
        signal.connect(lambda **kwargs: "lambda")
        seen = [shown(signal.send(Sender))]
        del local
        seen.append(shown(signal.send(Sender)))
        del listener
        gc.collect()
        seen.append((signal.has_listeners(Sender), shown(signal.send(Sender))))
        signal.connect(one)
        return seen, len(signal.receivers), shown(signal.send(Sender))

    return each_way(check)


@program
def many_deaths():
    signal, seen = new(use_caching=True), []
    for i in range(20):

        def local(i=i, **kwargs):
            return i

        signal.connect(local)
        seen.append(shown(signal.send(Sender)))
        signal.send(Other)
    return seen


@program
def death_of_a_sender():
    def check(signal):
        class Gone:
            pass

        signal.connect(one, sender=Gone)
        seen = [shown(signal.send(Gone))]
        del Gone
        gc.collect()
        signal.send(Sender)
        signal.connect(two)
        return seen, len(signal.receivers)

    return each_way(check)


@program
def strong_receivers_are_freed():
    signal = new()
    listener = Listener()
    reference = weakref.ref(listener)
    signal.connect(listener, weak=False)
    signal.send(Sender)
    signal.disconnect(listener)
    del listener
    return reference() is None


@program
def shapes():
    signal = new()
    listener = Listener()
    kept = [listener.method, functools.partial(one), listener, lambda **kwargs: "lambda"]
    for receiver in kept:
        signal.connect(receiver)
    return [shown(signal.send(Sender, **named)) for named in ({}, {"a": 1}, {"args": 2, "b": 3})]


@program
def no_kwargs():
    def strict(sender, signal):
        return "strict"

    signal = new()
    signal.connect(strict)
    return [shown(signal.send(Sender)), error(signal.send, Sender, a=1), error(signal.send, a=1)[0]]


@program
def errors():
    calls = []

    def fails(**kwargs):
        calls.append("fails")
        raise ValueError(kwargs["x"])

    def interrupts(**kwargs):
        raise KeyboardInterrupt

    def last(**kwargs):
        calls.append("last")

    signal = new()
    signal.connect(fails)
    signal.connect(last)
    seen = [error(signal.send, Sender, x=3), calls]
    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append((record.name, record.getMessage()))
    logging.getLogger("django.dispatch").addHandler(handler)
    logging.getLogger("django.dispatch").propagate = False
    seen.append([(r.__name__, repr(v)) for r, v in signal.send_robust(Sender, x=3)])
    seen.append(records)
    signal.connect(interrupts, sender=Other)
    seen.append(signal.disconnect(fails))
    try:
        signal.send(Other, x=1)
    except KeyboardInterrupt:
        seen.append("interrupted")
    return seen


@program
def coroutine_functions():
    async def later(**kwargs):
        await asyncio.sleep(0)
        return "later", sorted(set(kwargs) - {"signal"})

    signal = new(use_caching=True)
    signal.connect(one)
    seen = [shown(signal.send(Sender, x=1))]
    signal.connect(later)
    signal.connect(two)
    seen.append(shown(signal.send(Sender, x=1)))
    seen.append(shown(signal.send_robust(Sender, x=1)))
    seen.append(shown(asyncio.run(signal.asend(Sender, x=1))))
    seen.append(shown(asyncio.run(signal.asend_robust(Sender, x=1))))
    seen.append([signal.has_listeners(Sender), signal.disconnect(later)])
    seen.append(shown(signal.send(Sender, x=1)))
    signal.receivers.append((*signal.receivers[0][:-1], False))
    signal.sender_receivers_cache.clear()
    seen.append(shown(signal.send(Sender, x=1)))
    return seen


@program
def coroutine_functions_of_all_kinds():
    from asgiref.sync import markcoroutinefunction

    async def later(**kwargs):
        return "later"

    class Later:
        async def method(self, **kwargs):
            return "method"

        def plain(self, **kwargs):
            return "plain"

        async def __call__(self, **kwargs):
            return "called"

    async def finish():
        return "marked"

    @markcoroutinefunction
    def marked(**kwargs):
        return finish()

    instance, seen = Later(), []
    for receiver in (
        *(later, instance.method, instance.plain, marked, one, functools.partial(one)),
        *(functools.partial(later), functools.partial(marked)),
        functools.partial(instance.method),
    ):
        signal = new()
        signal.connect(receiver, weak=False)
        sent = signal.send(Sender)[0][1]
        if inspect.iscoroutine(sent):
            sent.close()
            sent = "a coroutine"
        seen.append((signal.receivers[0][-1], sent))
    return seen


@program
def overriding_send():
    from django.dispatch import Signal

    class Mine(Signal):
        def send(self, sender, **named):
            return [("mine", super().send(sender, **named))]

    class Live(Signal):
        def _live_receivers(self, sender):
            sync, later = super()._live_receivers(sender)
            return sync[:1], later

    seen = []
    for kind in (Mine, Live):
        signal = kind(use_caching=True)
        signal.connect(one)
        signal.connect(two)
        for _ in range(2):
            seen.append(repr([len(each) for each in signal.send(Sender)]))
        seen.append(signal.has_listeners(Sender))
    return seen


@program
def patching():
    from django.dispatch import Signal

    signal, seen = new(use_caching=True), []
    signal.connect(one)

    def sends():
        seen.append([shown(signal.send(Sender)), shown(signal.send(sender=Other))])

    sends()
    with mock.patch("django.dispatch.Signal.send", autospec=True, return_value=[(one, "class")]):
        sends()
    sends()
    with mock.patch.object(signal, "send", return_value=[(one, "instance")]):
        sends()
    sends()
    for what in (Signal, signal):
        with mock.patch.object(what, "_live_receivers", return_value=([two], [])):
            signal.sender_receivers_cache.clear()
            sends()
            seen.append(signal.has_listeners(Sender))
        sends()
    there = Signal.send

    def wrapper(self, *args, **named):
        return [*there(self, *args, **named), (one, "wrapped")]

    with mock.patch.object(Signal, "send", wrapper):
        sends()
    sends()
    with mock.patch.object(signal, "receivers", []):
        signal.sender_receivers_cache.clear()
        sends()
        signal.connect(two)
        sends()
    signal.sender_receivers_cache.clear()
    sends()
    return seen


@program
def editing_receivers():
    signal, seen = new(), []

    def sends():
        seen.append(shown(signal.send(Sender)))

    signal.connect(one)
    signal.connect(two, sender=Sender)
    sends()
    signal.receivers.reverse()
    sends()
    old, signal.receivers = signal.receivers, []
    sends()
    signal.connect(one, dispatch_uid="new")
    sends()
    signal.receivers += old
    sends()
    del signal.receivers[0]
    sends()
    signal.receivers = [*old, *old]
    sends()
    signal.receivers.sort(key=lambda entry: str(entry[0][1] == id(None)))
    sends()
    signal.receivers.clear()
    sends()
    signal.receivers = old
    sends()
    return seen, isinstance(signal.receivers, list)


@program
def muting_as_factory_boy_does():
    signal = new(use_caching=True)
    signal.connect(one)
    signal.send(Sender)
    paused = signal.receivers
    signal.receivers = []
    seen = [signal.send(Sender)]
    signal.connect(two)
    with signal.lock:
        signal.receivers = paused + signal.receivers
        signal.sender_receivers_cache.clear()
    seen.append(shown(signal.send(Sender)))
    return seen


@program
def malformed_receivers():
    signal = new()
    signal.connect(one)
    signal.send(Sender)
    signal.receivers = [1]
    seen = [error(signal.send, Sender)[0], signal.receivers]
    signal.receivers = None
    seen.append(signal.send(Sender))
    signal.receivers = []
    signal.connect(one)
    seen.append(shown(signal.send(Sender)))
    seen.append(signal.disconnect(dispatch_uid=["unhashable"]))
    signal.connect(two, dispatch_uid=["unhashable"])
    seen.append(shown(signal.send(Sender)))
    signal.connect(two, dispatch_uid=["unhashable"])
    seen.append((len(signal.receivers), signal.disconnect(dispatch_uid=["unhashable"])))
    seen.append(shown(signal.send(Sender)))
    del signal.receivers
    seen.append(error(signal.send, Sender)[0])
    return seen


@program
def copies():
    signal = new()
    signal.connect(one)
    signal.send(Sender)
    copied = copy.copy(signal)
    seen = [type(copied) is type(signal), sorted(k for k in vars(copied) if "_fast" not in k)]
    seen.append(shown(copied.send(Sender)))
    copied.connect(two)
    assert copied.send(Sender)[0][0] is one
    seen.append([shown(copied.send(Sender)), shown(signal.send(Sender))])
    copied.receivers = []
    seen.append([copied.send(Sender), shown(signal.send(Sender))])
    seen.append([error(pickle.dumps, signal), error(copy.deepcopy, signal)])
    seen.append(pickle.loads(pickle.dumps(type(signal))) is type(signal))

    def tells(signal, **kwargs):
        return signal is copied

    copied.connect(tells)
    seen.append(shown(copied.send(None)))
    return seen


@program
def senders_of_all_kinds():
    signal = new()
    listener = Listener()
    name = "".join(["a", "b", "c"])
    kinds = [None, name, 1000001, listener, listener.method, (1, 2), Sender]
    for place, sender in enumerate(kinds):
        signal.connect(one, sender=sender, dispatch_uid=f"uid {place}")
    seen = [shown(signal.send(sender)) for sender in [*kinds, listener.method, Other]]
    seen.append([signal.has_listeners(sender) for sender in [*kinds, listener.method, Other]])
    seen.append(
        [signal.disconnect(sender=each, dispatch_uid=f"uid {i}") for i, each in enumerate(kinds)]
    )
    return seen, signal.receivers


@program
def changing_during_a_send():
    signal, seen = new(use_caching=True), []

    def connects(**kwargs):
        signal.connect(two)
        return "connects"

    def disconnects(**kwargs):
        signal.disconnect(one)
        return "disconnects"

    def empties(**kwargs):
        signal.receivers = []
        signal.sender_receivers_cache.clear()
        return "empties"

    def nests(sender, **kwargs):
        return shown(signal.send(Other)) if sender is Sender else "nested"

    for receiver in (connects, disconnects, one, nests, empties):
        signal.connect(receiver)
    for _ in range(3):
        seen.append(shown(signal.send(Sender)))
    return seen


@program
def setting_changed_is_left_alone():
    from django.core.signals import setting_changed

    files = []

    def warns(**kwargs):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.warn("here", stacklevel=3)
        files.append(caught[0].filename == __file__)

    setting_changed.connect(warns)
    for _ in range(2):
        setting_changed.send(sender=None, setting="A", value=1, enter=True)
    setting_changed.disconnect(warns)
    return files


@program
def debugging():
    from django.test import override_settings

    def refused():
        return error(signal.connect, lambda sender: None, dispatch_uid="the same")

    signal = new()
    seen = [refused()]
    with override_settings(DEBUG=True):
        signal.connect(one)
        seen += [
            error(signal.connect, 1),
            refused(),
            error(signal.connect, two, dispatch_uid=["unhashable"]),
            shown(signal.send(Sender)),
        ]
        with override_settings(DEBUG=False):
            seen.append(refused())
        seen.append(refused())
    seen.append(refused())
    settings.DEBUG = True
    try:
        seen.append(refused())
    finally:
        settings.DEBUG = False
    return [*seen, refused()]


@program
def not_weakly_referenceable():
    class Slots:
        __slots__ = ()

        def __call__(self, **kwargs):
            return "slots"

    signal = new()
    seen = [error(signal.connect, Slots())[0]]
    receiver = Slots()
    signal.connect(receiver, weak=False)
    signal.connect(print, sender=Other, weak=False)
    return seen, shown(signal.send(Sender)), signal.disconnect(receiver)


@program
def patching_weakref():
    signal = new()
    with mock.patch("weakref.ref") as reference:
        signal.connect(one)
    return reference.called


@program
def clearing():
    signal = new()

    def local(**kwargs):
        pass

    for _ in range(3):
        signal.connect(local)
    del local
    gc.collect()
    return signal.has_listeners(), signal.receivers


@program
def looks():
    from django.db.models.signals import ModelSignal, post_save
    from django.dispatch import Signal

    assert type(post_save) is ModelSignal
    seen = []
    for name in ("connect", "disconnect", "has_listeners"):
        method = getattr(Signal, name)
        seen += [name, method.__qualname__, method.__module__, str(inspect.signature(method))]
        seen.append(method.__doc__)
    return seen


@program
def request_signals():
    from django.core.signals import request_finished, request_started

    seen = []

    def started(**kwargs):
        seen.append(sorted(set(kwargs) - {"signal"}))

    request_started.connect(started)
    for _ in range(3):
        request_started.send(sender=Sender, environ={})
    request_started.disconnect(started)
    request_started.send(sender=Sender, environ={})
    return seen, len(request_finished.receivers) > 0


@program
def rows():
    from articles.models import Article, Proxy, Tag
    from django.db.models import signals

    log = []

    def note(signal, sender, **kwargs):
        names = {id(value): name for name, value in vars(signals).items()}
        log.append((names[id(signal)], sender.__name__, sorted(set(kwargs) - {"instance"})))

    connected = [
        *("pre_init", "post_init", "pre_save", "post_save", "pre_delete", "post_delete"),
        "m2m_changed",
    ]
    for name in connected:
        getattr(signals, name).connect(note, sender=None if name == "m2m_changed" else Article)
    signals.post_save.connect(note, sender="articles.Proxy")
    article = Article.objects.create(title="a")
    article.tags.add(Tag.objects.create(name="t"))
    Proxy.objects.create(title="b")
    log.append([each.title for each in Article.objects.order_by("title")])
    log.append(signals.post_delete.has_listeners(Article))
    Article.objects.all().delete()
    for name in connected:
        sender = None if name == "m2m_changed" else Article
        assert getattr(signals, name).disconnect(note, sender=sender)
    assert signals.post_save.disconnect(note, sender=Proxy)
    Article.objects.create(title="c").delete()
    return log


@program
def held_bound_methods():
    from articles.models import HELD

    sends, signal = HELD
    return [shown(send(Sender, x=1)) for send in (*sends, signal.send)]


def main(mode):
    import settings_of_django as chosen

    settings.configure(**chosen.SETTINGS)
    if mode == "before":
        import fastsig.django

        fastsig.django.install()
    import django

    django.setup()
    from articles import models as django_models

    django_models.prepare()
    signal = new()
    signal.connect(one)
    django_models.HELD = [signal.send], signal
    signal.send(Sender)
    if mode == "late":
        import fastsig.django

        fastsig.django.install()
    if mode == "stock":
        assert "fastsig" not in sys.modules
    else:
        import fastsig.django

        assert fastsig.django.installed()
    found = {}
    for name, function in PROGRAMS.items():
        try:
            found[name] = repr(function())
        except Exception as raised:
            import traceback

            found[name] = f"raised {raised!r}\n{traceback.format_exc()}"
    print(json.dumps(found))


if __name__ == "__main__":
    sys.modules["django_programs"] = sys.modules["__main__"]
    main(sys.argv[1])
