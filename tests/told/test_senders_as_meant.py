"""Senders by name: a task or its name, several senders, a class with its subclasses."""

import gc
import tracemalloc

import pytest


class Task:
    """The attributes of a Celery task by which fastsig recognizes one."""

    __trace__ = None

    def __init__(self, name):
        self.name = name

    def apply_async(self):
        pass


class Base:
    pass


class Derived(Base):
    pass


class NotWeaklyReferenceable:
    __slots__ = ()


def on_one(sender):
    return 1


def on_two(sender):
    return 2


def responses(signal, sender):
    """Send three times: the first makes the route, the others find it."""
    found = [[response for _, response in signal.send(sender)] for _ in range(3)]
    assert found[0] == found[1] == found[2]
    assert signal.has_listeners(sender) is bool(found[0])
    return found[0]


@pytest.fixture
def add():
    return Task("proj.add")


@pytest.fixture
def mul():
    return Task("proj.mul")


class TestNames:
    def test_a_name_matches_the_task(self, signal, add, mul):
        signal.connect(on_one, sender="proj.add")
        assert responses(signal, add) == [1]
        assert responses(signal, Task("proj.add")) == [1]
        assert responses(signal, "proj.add") == [1]
        for other in (mul, "proj.mul", None, 5, NotWeaklyReferenceable(), object):
            assert responses(signal, other) == []
        assert signal.disconnect(on_one, sender="proj.add")
        assert responses(signal, add) == []

    def test_a_task_matches_its_name(self, signal, add, mul):
        signal.connect(on_one, sender=add)
        assert responses(signal, "proj.add") == [1]
        assert responses(signal, add) == [1]
        for other in (mul, "proj.mul", None, Task("proj.add")):
            assert responses(signal, other) == []
        signal.connect(on_two, sender="proj.mul")
        assert responses(signal, mul) == responses(signal, "proj.mul") == [2]
        assert signal.disconnect(on_one, sender=add)
        assert responses(signal, "proj.add") == []

    def test_after_a_name_that_reaches_nobody(self, signal, add):
        signal.connect(on_one, sender=add)
        for _ in range(2):
            assert responses(signal, "proj.mul") == []
            assert responses(signal, "proj.add") == [1]

    def test_in_the_order_of_connection(self, signal, add):
        signal.connect(on_two, sender=add)
        signal.connect(on_one, sender="proj.add")
        assert responses(signal, add) == responses(signal, "proj.add") == [2, 1]
        signal.connect(on_two)
        assert responses(signal, add) == responses(signal, "proj.add") == [2, 1, 2]
        assert responses(signal, None) == [2]

    def test_a_receiver_connected_for_both_is_called_once(self, signal, add):
        signal.connect(on_one, senders=["proj.add", add])
        assert responses(signal, add) == responses(signal, "proj.add") == [1]
        assert signal.disconnect(on_one, sender=add)
        assert responses(signal, add) == [1]

    def test_methods_of_different_objects_are_both_called(self, signal, add):
        class Listener:
            def method(self, sender):
                return self

        one, two = Listener(), Listener()
        for each in (one, two):
            signal.connect(each.method, senders=["proj.add", add])
        assert responses(signal, add) == [one, two]

    def test_a_name_that_is_not_a_str_never_matches(self, signal):
        signal.connect(on_one, sender="proj.add")
        assert responses(signal, Task(None)) == []

    def test_task_is_garbage_collected(self, signal, collect):
        add = Task("proj.add")
        signal.connect(on_one, sender=add)
        signal.connect(on_two, sender="other")
        assert responses(signal, "proj.add") == [1]
        del add
        collect()
        assert responses(signal, "proj.add") == []


class TestSeveralSenders:
    def test_names_tasks_and_classes_may_be_mixed(self, signal, add, mul):
        signal.connect(on_one, senders=("proj.mul", add, Base))
        for sender in (add, mul, "proj.add", "proj.mul", Base):
            assert responses(signal, sender) == [1]
        for other in (Derived, Base(), None, "proj"):
            assert responses(signal, other) == []
        assert signal.has_listeners(senders=["proj", add])
        assert not signal.has_listeners(senders=["proj", None])
        assert signal.disconnect(on_one, senders=[add, Base])
        assert responses(signal, mul) == [1]
        assert responses(signal, Base) == []
        assert not signal.disconnect(on_one, senders=[add, Base])

    def test_as_a_decorator(self, signal, fastsig, add, mul):
        @signal.connect(senders=["proj.mul", add])
        def first(sender):
            return "first"

        @fastsig.receiver(signal, senders=["proj.mul", add])
        def second(sender):
            return "second"

        assert responses(signal, mul) == responses(signal, add) == ["first", "second"]

    def test_none_among_them_matches_any_sender(self, signal, add):
        signal.connect(on_one, senders=[None])
        assert responses(signal, add) == [1]

    @pytest.mark.parametrize("senders", ["proj.add", b"proj.add", 5])
    def test_must_be_an_iterable(self, signal, senders):
        with pytest.raises(TypeError, match="senders must be an iterable"):
            signal.connect(on_one, senders=senders)
        assert signal.receivers == []

    def test_sender_and_senders_exclude_each_other(self, signal):
        with pytest.raises(TypeError, match="not both"):
            signal.connect(on_one, sender="a", senders=["b"])
        assert signal.receivers == []


class TestSubclasses:
    def test_classes_and_instances(self, signal):
        signal.connect(on_one, sender=Base, subclasses=True)

        class Later(Derived):
            pass

        for sender in (Base, Derived, Later, Base(), Derived(), Later()):
            assert responses(signal, sender) == [1]
        for other in (object, object(), int, 5, "s", None):
            assert responses(signal, other) == []
        assert not signal.disconnect(on_one, sender=Base)
        assert signal.disconnect(on_one, sender=Base, subclasses=True)
        assert responses(signal, Derived) == []

    def test_without_subclasses_a_class_matches_only_itself(self, signal):
        signal.connect(on_one, sender=Base)
        assert responses(signal, Base) == [1]
        assert responses(signal, Derived) == responses(signal, Base()) == []

    def test_together_with_connections_for_one_instance(self, signal):
        sender = Derived()
        signal.connect(on_two, sender=sender)
        signal.connect(on_one, sender=Base, subclasses=True)
        signal.connect(on_one, sender=Derived, subclasses=True)
        assert responses(signal, sender) == [2, 1]
        assert responses(signal, Derived) == [1]

    def test_instances_that_cannot_be_weakly_referenced(self, signal):
        signal.connect(on_one, sender=NotWeaklyReferenceable, subclasses=True)
        signal.connect(on_two, senders=[int, str], subclasses=True)
        assert responses(signal, NotWeaklyReferenceable()) == [1]
        assert responses(signal, 5) == responses(signal, "s") == [2]

        class Name(str):
            __slots__ = ()

        assert responses(signal, Name("s")) == [2]

    def test_a_metaclass_matches_its_classes(self, signal):
        class Meta(type):
            pass

        signal.connect(on_one, sender=Meta, subclasses=True)
        assert responses(signal, Meta("Model", (), {})) == [1]

    def test_a_class_of_tasks(self, signal, add):
        signal.connect(on_one, senders=[Task, "proj.mul"], subclasses=True)
        assert responses(signal, add) == [1]
        assert responses(signal, "proj.mul") == [1]

    def test_class_is_garbage_collected(self, signal, collect):
        kind = type("Short", (), {})
        signal.connect(on_one, sender=kind, subclasses=True)
        assert responses(signal, kind()) == [1]
        del kind
        collect()
        assert signal.send(None) == []
        assert signal.receivers == []

    @pytest.mark.parametrize("sender", [None, "name", 5])
    def test_needs_a_class(self, signal, sender):
        with pytest.raises(TypeError, match="needs a class"):
            signal.connect(on_one, sender=sender, subclasses=True)
        assert signal.receivers == []


class TestMemory:
    def test_is_bounded_by_the_living_senders(self, signal, collect):
        signal.connect(on_one, sender="proj.add")
        signal.connect(on_two, sender=Base, subclasses=True)

        def send_from_many():
            for kind in (Task, Plain, Derived):
                for _ in range(500):
                    signal.send(kind("proj.mul") if kind is Task else kind())
            for i in range(500):
                signal.send(f"name {i}")
                signal.send(float(i))

        class Plain:
            pass

        send_from_many()
        collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            send_from_many()
            collect()
            assert tracemalloc.get_traced_memory()[0] - before < 20_000
        finally:
            tracemalloc.stop()

    def test_senders_are_garbage_collected(self, signal, collect):
        died = []

        class Short(Base):
            def __del__(self):
                died.append(signal.send(self))

        signal.connect(on_one, sender=Base, subclasses=True)
        for _ in range(3):
            assert responses(signal, Short()) == [1]
        collect()
        assert [len(each) for each in died] == [1, 1, 1]

    @pytest.mark.id_reuse
    def test_no_sender_is_taken_for_a_garbage_collected_one(self, signal):
        gc.disable()
        try:
            signal.connect(on_one, sender=Base, subclasses=True)
            for _ in range(100):
                assert [r for _, r in signal.send(Base())] == [1]
                assert signal.send(object()) == []
        finally:
            gc.enable()

    def test_changes_of_the_table_take_effect(self, signal, add):
        signal.connect(on_one, sender="proj.add")
        assert responses(signal, add) == [1]
        signal.receivers.clear()
        assert responses(signal, add) == []
        signal.connect(on_two, sender="proj.add")
        assert responses(signal, add) == [2]
        saved, signal.receivers = signal.receivers, []
        assert responses(signal, add) == []
        signal.receivers = saved
        assert responses(signal, add) == [2]


class TestReceiverKeys:
    """The receiver key identifies a connection, also if a sender has several keys."""

    def test_two_dispatch_uids_are_two_connections(self, signal, add):
        calls = []

        def receiver(sender):
            calls.append(sender)

        signal.connect(receiver, sender=add, dispatch_uid="a")
        signal.connect(receiver, sender=add, dispatch_uid="b")
        signal.connect(lambda sender: None, sender="proj.add", weak=False)
        signal.send(add)
        assert calls == [add, add]

    @pytest.mark.parametrize("options", [{"once": True}, {"retry": True}])
    def test_a_stand_in_for_several_senders_is_called_once(self, signal, add, options):
        calls = []

        def receiver(sender):
            calls.append(sender)

        signal.connect(receiver, sender="proj.add", **options)
        signal.connect(receiver, sender=add, **options)
        signal.send(add)
        assert calls == [add]
