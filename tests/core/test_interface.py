"""The interface that `help`, `inspect`, editors and `pickle` see is the same on both builds."""

import copy
import inspect
import pickle
import pydoc
import rlcompleter

import pytest

METHODS = {
    "connect": "(receiver=None, sender=None, weak=True, dispatch_uid=None, retry=False,"
    " *, senders=None, subclasses=False, on_error=None, once=False)",
    "disconnect": "(receiver=None, sender=None, weak=None, dispatch_uid=None,"
    " *, senders=None, subclasses=False)",
    "has_listeners": "(sender=None, *, senders=None, subclasses=False)",
    "send": "(sender, **named)",
    "send_robust": "(sender, **named)",
}
PUBLIC = {
    *METHODS,
    *("asend", "connected", "connections", "explain", "muted", "name", "providing_args"),
    *("receivers", "recorded", "use_caching"),
}
OF_THE_ENGINE = {
    *("add_connection", "configure", "find_holder", "find_route", "get_owner", "get_past"),
    *(
        "get_policy",
        "has_connection",
        "know_sender",
        "remember",
        "look_for_overrides_again",
        "make_reference",
        "remove_connection",
        "send_unwatched",
        "set_watcher",
        "take_table",
    ),
}
"""What a face uses."""


def shape(function):
    """The signature of a function without annotations, as text."""
    signature = inspect.signature(function)
    parameters = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty))


@pytest.mark.parametrize("name", METHODS)
def test_signatures(Signal, signal, name):
    assert shape(getattr(signal, name)) == METHODS[name]
    assert shape(getattr(Signal, name)).replace("self, /", "self") == (
        METHODS[name].replace("(", "(self, ")
    )


@pytest.mark.parametrize("name", METHODS)
def test_names_of_the_methods(Signal, signal, name):
    for method in (getattr(Signal, name), getattr(signal, name)):
        assert callable(method)
        assert inspect.isroutine(method)
        assert method.__name__ == name
        assert method.__qualname__.endswith(f".{method.__name__}")
        assert method.__doc__ == getattr(Signal, name).__doc__
    assert getattr(signal, name).__self__ is signal


def test_names_of_the_class(Signal):
    assert (Signal.__module__, Signal.__qualname__) == ("fastsig.signal", "Signal")
    assert Signal.__doc__.startswith("A signal: receivers connect to it")


def test_signature_of_the_class(Signal):
    assert shape(Signal) == ("(providing_args=None, use_caching=False, name=None, on_error='log')")


def test_names(Signal, signal):
    for thing in (Signal, signal):
        assert {name for name in dir(thing) if name[0] != "_"} == PUBLIC | OF_THE_ENGINE


def test_names_of_the_engine(engine):
    for kind in (engine.Engine, engine.RobustEngine):
        names = {name for name in dir(kind) if name[0] != "_"}
        assert names == {"has_listeners", "receivers", "send", "send_robust", *OF_THE_ENGINE}
        for name in names:
            assert inspect.getdoc(getattr(kind, name)), name
    assert engine.__all__ == sorted(engine.__all__)
    assert all(hasattr(engine, name) for name in engine.__all__)


def test_completion(signal):
    completer = rlcompleter.Completer({"signal": signal})
    matches = completer.attr_matches("signal.")
    completed = {match.removeprefix("signal.").rstrip("()") for match in matches}
    assert completed == PUBLIC | OF_THE_ENGINE


def test_help(Signal):
    text = pydoc.plain(pydoc.render_doc(Signal))
    assert "A signal: receivers connect to it" in text
    for name, parameters in METHODS.items():
        assert f" {name}" in text
        documented = inspect.getdoc(getattr(Signal, name))
        assert documented.partition("\n")[0] in text
        for parameter in ("retry", "dispatch_uid", "**named"):
            assert parameter not in parameters or parameter in documented
    assert inspect.getdoc(Signal.receivers).startswith("The live table")


def test_what_is_pickled_by_name(fastsig, Signal):
    methods = [getattr(Signal, name) for name in METHODS]
    for thing in (Signal, fastsig.receiver, *methods):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(thing, protocol)) is thing
    assert copy.deepcopy(Signal) is Signal


def test_a_signal_is_not_pickled_or_copied(signal):
    protocols = range(pickle.HIGHEST_PROTOCOL + 1)
    pickling = [lambda thing, n=n: pickle.dumps(thing, n) for n in protocols]
    for make_another in (copy.copy, copy.deepcopy, *pickling):
        with pytest.raises(TypeError, match="cannot pickle 'Signal' object"):
            make_another(signal)
    for pickled in pickling:
        for name in METHODS:
            with pytest.raises(TypeError, match="cannot pickle 'Signal' object"):
                pickled(getattr(signal, name))


def test_a_signal_of_a_module_is_not_pickled_either(run):
    """Its name does not tell where it is; Celery's own class cannot be pickled."""
    run("""
        import pickle
        from fastsig.signals import task_prerun
        try:
            pickle.dumps(task_prerun)
        except TypeError as error:
            assert "cannot pickle" in str(error), error
        else:
            raise AssertionError("it was pickled")
    """)


def test_a_subclass_may_be_pickled(Signal):
    class Named(Signal):
        def __reduce__(self):
            return str, (self.name,)

    assert pickle.loads(pickle.dumps(Named(name="mine"))) == "mine"
