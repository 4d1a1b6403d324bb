"""Features that fastsig adds to Django's signals."""

import pytest

pytest.importorskip("django")


def test_on_commit(run_django):
    run_django("""
from fastsig.django import connect, disconnect, receiver
log = []

@receiver(post_save, sender=Article, on_commit=True)
def saved(instance, created):
    log.append((instance.title, created))

connect(post_save, saved, Article, on_commit=True)  # it is already connected
with transaction.atomic():
    Article.objects.create(title="a")
    log.append("in")
assert log == ["in", ("a", True)], log
try:
    with transaction.atomic():
        Article.objects.create(title="b")
        1 / 0
except ZeroDivisionError:
    pass
assert log == ["in", ("a", True)], log
Article.objects.create(title="c")
assert log[2:] == [("c", True)], log
with transaction.atomic():
    with transaction.atomic(using="other"):
        Article(title="d").save(using="other")
        log.append("in other")
    assert log[3:] == ["in other", ("d", True)], log
assert post_save.send(Article, instance=Article(), created=False, using="default") == [
    (post_save.receivers[0][1](), None)
]
assert post_save.disconnect(saved, sender=Article) and not post_save.receivers
assert not disconnect(post_save, saved, Article)
""")


def test_on_commit_is_robust(run_django):
    run_django("""
import functools, logging
from fastsig.django import connect
logging.getLogger("django.db.backends.base").addHandler(logging.NullHandler())
logging.getLogger("django.db.backends.base").propagate = False
calls = []

def fails(instance, **kwargs):
    calls.append("fails")
    raise ValueError

class Last:
    def __call__(self, **kwargs):
        calls.append("last")

last = Last()
connect(post_save, fails, Article, on_commit=True)
connect(post_save, last, Article, on_commit=True)
connect(post_save, functools.partial(fails, None), Tag, weak=False, on_commit=True)
with transaction.atomic():
    Article.objects.create(title="a")
assert calls == ["fails", "last"], calls
""")


def test_receivers_are_garbage_collected(run_django):
    run_django("""
import gc, weakref
from fastsig.django import connect

class Listener:
    def method(self, instance):
        calls.append("method")

calls, listener = [], Listener()

def function(instance):
    calls.append("function")

connect(post_init, listener.method, Article)
connect(post_init, function, Article, subclasses=True)
connect(post_init, function, on_commit=True)
Article()
assert calls == ["method", "function", "function"], calls
assert post_init.has_listeners(Article)
gone = weakref.ref(listener)
del listener, function
gc.collect()
assert gone() is None
Article()
assert len(calls) == 3 and not post_init.receivers, post_init.receivers

def another(instance):
    pass

class Later(Article):
    class Meta:
        app_label = "articles"
        proxy = True

assert not post_init.has_listeners(Later)
from fastsig.django import extras
assert not extras.kept, extras.kept
""")


def test_only_the_named_arguments_are_passed(run_django):
    run_django("""
import asyncio
from fastsig.django import connect
signal = Signal()

def picks(b, sender):
    return b, sender

async def awaits(a):
    return a

def strict(sender, signal):
    return "strict"

connect(signal, picks)
assert signal.send("s", a=1, b=2) == [(signal.receivers[0][1](), (2, "s"))]
assert signal.send_robust("s", a=1, b=2)[0][1] == (2, "s")
assert signal.receivers[0][1]().__qualname__ == "picks"
connect(signal, awaits)
for _ in range(2):
    assert [each[1] for each in signal.send("s", a=1, b=2)] == [(2, "s"), 1]
assert [each[1] for each in asyncio.run(signal.asend("s", a=1, b=2))] == [(2, "s"), 1]
assert signal.disconnect(awaits)
signal.connect(strict)
try:
    signal.send("s", a=1, b=2)
except TypeError as error:
    assert "unexpected keyword argument" in str(error), error
else:
    raise AssertionError
from django.test import override_settings
with override_settings(DEBUG=True):
    connect(signal, lambda a: "debug", weak=False)
signal.disconnect(strict)
assert [each[1] for each in signal.send("s", a=1, b=2)] == [(2, "s"), "debug"]
""")


def test_subclasses(run_django):
    run_django("""
from fastsig.django import connect, disconnect, receiver
log = []

@receiver([post_init], sender=Base, subclasses=True)
def made(sender, **kwargs):
    log.append(sender.__name__)

class Child(Article):
    class Meta:
        app_label = "articles"

class ChildProxy(Child):
    class Meta:
        app_label = "articles"
        proxy = True

class Alone(django.db.models.Model):
    class Meta:
        app_label = "articles"

for model in (Article, Proxy, Child, ChildProxy, Alone, Tag):
    model()
assert log == ["Article", "Proxy", "Child", "ChildProxy"], log
assert not post_init.has_listeners(Tag) and post_init.has_listeners(ChildProxy)
assert disconnect(post_init, made, Base, subclasses=True)
assert not disconnect(post_init, made, Base, subclasses=True)

class After(Article):
    class Meta:
        app_label = "articles"
        proxy = True

After()
assert len(log) == 4 and not post_init.receivers and not class_prepared.has_listeners(After)
for sender in (None, int, "articles.Article", 1):
    try:
        connect(post_init, made, sender, subclasses=True)
    except TypeError as error:
        assert "needs a model" in str(error)
    else:
        raise AssertionError
""")


def test_wrong_arguments(run_django):
    run_django("""
from fastsig.django import connect, connections

async def later(**kwargs):
    pass

for what in (lambda: connect(post_save, 1), lambda: connect(post_save, later, on_commit=True),
             lambda: connections(1), lambda: fastsig.muted(1), lambda: fastsig.explain(1, print)):
    try:
        what()
    except TypeError as error:
        print(error)
    else:
        raise AssertionError
assert not post_save.receivers
""")


def test_muted_recorded_observed_explained(run_django):
    run_django("""
from fastsig.django import connect, connected, connections
calls = []

def saved(instance, **kwargs):
    calls.append(instance.title)

def other(**kwargs):
    calls.append("other")

post_save.connect(saved, sender=Article, dispatch_uid="uid")
post_save.connect(other)
first, second = connections(post_save)
assert first[:4] == (saved, Article, True, "uid") and second[:4] == (other, None, True, None)
with fastsig.muted(post_save):
    Article.objects.create(title="a")
    assert fastsig.explain(post_save, saved, Article).startswith("not called: it is muted")
assert not calls
with fastsig.muted(post_save, receiver=saved, sender=Article):
    Article.objects.create(title="b")
assert calls == ["other"], calls
assert fastsig.explain(post_save, saved).startswith("called for sender=<class 'articles"), 1
assert fastsig.explain(post_save, saved, Tag).startswith("not called: it is connected for other")
assert fastsig.explain(post_save, "other", Tag).startswith("called")
with fastsig.recorded(post_save, pre_delete, sender=Article) as sent:
    assert pre_delete.has_listeners(Tag)
    article = Article.objects.create(title="c")
    article.delete()
    post_save.send_robust(Article, instance=article)
assert [each.signal for each in sent] == [post_save, pre_delete] and sent[0].created
assert not pre_delete.has_listeners(Tag) and not pre_delete.receivers
assert [each[0] for each in post_save.send_robust(Article, instance=article)] == [saved, other]
seen = []
with fastsig.observe(seen.append, signals=[post_save]):
    Tag.objects.create(name="t")
assert [(each.receiver, each.signal) for each in seen] == [(other, post_save)]
with fastsig.observe(seen.append):
    Tag.objects.create(name="t")
    signal = Signal()
    signal.connect(other)
    signal.send(1)
assert [each.receiver for each in seen] == [other] * 3
with connected(post_save, print, Tag, weak=False), connected(post_save, other):
    assert len(connections(post_save)) == 3
assert len(connections(post_save)) == 2

def named(instance):
    calls.append("named")

connect(post_save, named, Article, on_commit=True)
assert connections(post_save)[-1].receiver is named
with fastsig.muted(post_save, receiver=named):
    Article.objects.create(title="d")
assert "named" not in calls
Article.objects.create(title="e")
assert "named" in calls
async def later(**kwargs):
    pass
post_save.connect(later)
try:
    fastsig.muted(post_save)
except TypeError as error:
    assert "on fastsig's engine" in str(error)
else:
    raise AssertionError
assert fastsig.explain(post_save, saved, Article) == "called by Django's own code"
assert fastsig.explain(post_save, print, Article).startswith("not called")
""")
