"""What `help`, `inspect`, editors and `pickle` see of the interface: the same on both cores."""

import copy
import inspect
import pickle
import pydoc
import rlcompleter

import pytest

METHODS = {
    "connect": "(receiver=None, sender=None, weak=True, dispatch_uid=None, retry=False)",
    "disconnect": "(receiver=None, sender=None, weak=None, dispatch_uid=None)",
    "has_listeners": "(sender=None)",
    "send": "(sender, **named)",
    "send_robust": "(sender, **named)",
}
PUBLIC = {*METHODS, "name", "providing_args", "receivers", "use_caching"}


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


def test_signature_of_the_class(Signal):
    assert shape(Signal) == "(providing_args=None, use_caching=False, name=None)"


def test_names(Signal, signal):
    assert {name for name in dir(signal) if not name.startswith("_")} == PUBLIC
    assert {name for name in dir(Signal) if not name.startswith("_")} == PUBLIC


def test_completion(signal):
    completer = rlcompleter.Completer({"signal": signal})
    matches = completer.attr_matches("signal.")
    assert {match.removeprefix("signal.").rstrip("()") for match in matches} == PUBLIC


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
    for thing in (Signal, Signal.connect, Signal.send, Signal.send_robust, fastsig.receiver):
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(thing, protocol)) is thing
    assert copy.deepcopy(Signal) is Signal


def test_a_signal_is_not_pickled_or_copied(signal):
    protocols = range(pickle.HIGHEST_PROTOCOL + 1)
    pickling = [lambda thing, n=n: pickle.dumps(thing, n) for n in protocols]
    for make_another in (copy.copy, copy.deepcopy, *pickling):
        with pytest.raises(TypeError, match="cannot pickle 'Signal' object"):
            make_another(signal)


def test_a_subclass_may_be_pickled(Signal):
    class Named(Signal):
        def __reduce__(self):
            return str, (self.name,)

    assert pickle.loads(pickle.dumps(Named(name="mine"))) == "mine"
