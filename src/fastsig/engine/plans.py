"""HOW a receiver takes its arguments.

`make_plan` works out which of the arguments of a call shape a receiver gets, and how.  The **unread
rest** is not passed: what would land in a ``**kwargs`` that the receiver's code cannot see, which
costs half of a call.  `reads_kwargs` tells whether the code can see it; `passes_all` tells whether
somebody else may look, so that everything is passed.
"""

from __future__ import annotations

import sys
from opcode import haslocal, opname
from types import CodeType, FunctionType, MethodType

from fastsig.engine.switches import switch

# The kinds of receiver: what runs is not known, a plain function, one with an object before the
# arguments that is bound to it, or has it as its `__call__`.
OTHER, FUNCTION, METHOD, OBJECT = range(4)

# Flags of code objects: see inspect, which is slow to import.
FAST_LOCALS = 0x01 | 0x02  # CO_OPTIMIZED | CO_NEWLOCALS
VARARGS, VARKEYWORDS = 0x04, 0x08
SUSPENDED = 0x20 | 0x80 | 0x100 | 0x200  # generators and coroutines: their frames can be had

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this package
if TYPE_CHECKING:
    from collections.abc import Iterable

    Plan = tuple[int, CodeType | None, tuple[int, ...], tuple[int, ...]]
    """``(kind, code, positional, keywords)``: see `make_plan`."""

PASS_ALL = switch("FASTSIG_PASS_ALL", default=sys.flags.dev_mode or switch("FASTSIG_DEBUG"))

# Another Python may name variables otherwise: see `names_variable`.
KNOWN = sys.implementation.name in ("cpython", "pypy") and sys.version_info < (3, 16)

# Names of what returns or takes the variables of the calling code, leads to its frame, or starts a
# debugger or another tracer there.
LOOKING = frozenset(
    (
        *("locals", "vars", "dir", "eval", "exec", "f_locals", "f_back", "tb_frame", "pythonapi"),
        *("_getframe", "_current_frames", "currentframe", "stack", "trace", "getinnerframes"),
        *("walk_stack", "walk_tb", "StackSummary", "TracebackException", "breakpoint"),
        *("set_trace", "post_mortem", "embed", "snoop"),
        *("settrace", "settrace_all_threads", "setprofile", "setprofile_all_threads"),
    )
)


def make_plan(receiver: object, names: tuple[str, ...], trim: bool = True) -> Plan:
    """Work out how `receiver` takes arguments of these names.

    A plain function gets by position the longest run of leading parameters that are all there:
    that binds the same as by keyword, and faster.  The unread rest is dropped.

    Arguments:
        receiver: What is to be called.
        names: The names of the arguments that are sent.
        trim: Whether to drop, too, what a receiver without ``**kwargs`` has no name for; else it
            is passed, and Python raises its `TypeError`.

    Returns:
        ``(kind, code, positional, keywords)``: the kind of receiver; the code object for which
        the plan holds, None for a receiver that has none; which of `names` go by position, and
        which by keyword, as indexes.
    """
    kind, function = function_of(receiver)
    code = None if function is None else function.__code__
    taken = find_taken(receiver) if trim else None
    positional: list[int] = []
    if code is not None:
        bound = kind != FUNCTION
        only_by_position, count = code.co_posonlyargcount, code.co_argcount
        if code.co_flags & VARKEYWORDS and not reads_kwargs(code) and not passes_all():
            # With the name of what is bound: it does not land in **kwargs, but is an error.
            named = {*code.co_varnames[only_by_position : count + code.co_kwonlyargcount]}
            taken = named if taken is None else named & taken
        if only_by_position <= bound:
            for name in code.co_varnames[bound:count]:
                if name not in names or (taken is not None and name not in taken):
                    break
                positional.append(names.index(name))
    keywords = [
        i
        for i, name in enumerate(names)
        if i not in positional and (taken is None or name in taken)
    ]
    return kind, code, tuple(positional), tuple(keywords)


def find_taken(receiver: object) -> set[str] | None:
    """Return the names that a receiver is trimmed to, None for all."""
    kind, function = function_of(receiver)
    if function is None:
        return keywords_of(receiver)
    code = function.__code__
    if getattr(function, "_retries", None) is code:  # not something that `functools.wraps` made
        return find_taken(function.__wrapped__)  # type: ignore[attr-defined]
    if code.co_flags & VARKEYWORDS:
        return keywords_of(receiver) if hasattr(function, "__signature__") else None
    names, count = code.co_varnames, code.co_argcount
    first = max(kind != FUNCTION, code.co_posonlyargcount)
    return {*names[first:count], *names[count : count + code.co_kwonlyargcount]}


def function_of(receiver: object) -> tuple[int, FunctionType | None]:
    """Return the kind of a receiver, and the plain function that runs when it is called."""
    function: object
    if type(receiver) is FunctionType:
        return FUNCTION, receiver
    if type(receiver) is MethodType:
        function = receiver.__func__
        return (METHOD, function) if type(function) is FunctionType else (OTHER, None)
    for base in type(receiver).__mro__:
        if base is type or getattr(base, "__module__", "") == "functools":  # `partial` on PyPy
            return OTHER, None
        function = base.__dict__.get("__call__")
        if function is not None:
            return (OBJECT, function) if type(function) is FunctionType else (OTHER, None)
    return OTHER, None


def keywords_of(receiver: object) -> set[str] | None:
    """Return the names that `receiver` takes by keyword, None if it takes any.

    A callable that does not tell takes any.
    """
    from inspect import Parameter, signature  # slow to import, seldom needed

    try:
        parameters = signature(receiver).parameters.values()  # type: ignore[arg-type]
    except (MemoryError, RecursionError):
        raise  # it may tell the next time
    except Exception:
        return None
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
        return None
    by_name = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return {parameter.name for parameter in parameters if parameter.kind in by_name}


def reads_kwargs(code: CodeType) -> bool:
    """Tell whether code can see what is in its ``**kwargs``: as long as there is any doubt, it can.

    It takes some microseconds, so the answer is not kept.

    Arguments:
        code: A code object.

    Returns:
        False if the code has no ``**kwargs``; or none of its instructions and no code inside it
        uses that variable, and no name in either stands for a way to look at all variables.  What
        is called under another name, and looks at the frame of its caller, is not found.
    """
    flags = code.co_flags
    if not flags & VARKEYWORDS:
        return False
    if not KNOWN or flags & FAST_LOCALS != FAST_LOCALS or flags & SUSPENDED:
        return True
    place = code.co_argcount + code.co_kwonlyargcount + bool(flags & VARARGS)
    kwargs = code.co_varnames[place]
    return kwargs in code.co_cellvars or may_look(code) or names_variable(code, place)


def may_look(code: CodeType) -> bool:
    """Tell whether code, or code inside it, has a name for a way to look at variables."""
    if not LOOKING.isdisjoint(code.co_names + code.co_varnames + code.co_freevars):
        return True
    return any(
        may_look(constant) if type(constant) is CodeType else constant in LOOKING
        for constant in code.co_consts
        if type(constant) in (CodeType, str)  # as in getattr(sys, "_getframe")
    )


def names_variable(code: CodeType, place: int) -> bool:
    """Tell whether an instruction may load, store or delete the variable with this index."""
    # `dis` takes longer to import, and 20 times as long to run.
    # Each is two bytes: what it does, and the lowest byte of its argument.  There are others in
    # between (caches, higher bytes), which do no harm.
    instructions = code.co_code
    each = zip(instructions[::2], instructions[1::2], strict=True)
    return not instructions_naming(place).isdisjoint(each)


# Instructions that name variables: one as their argument, or two of 4 bits each.
ONE = frozenset(
    (
        *("LOAD_FAST", "LOAD_FAST_BORROW", "LOAD_FAST_CHECK", "LOAD_FAST_AND_CLEAR"),
        *("STORE_FAST", "STORE_FAST_MAYBE_NULL", "DELETE_FAST", "LOAD_CLOSURE", "LOAD_DEREF"),
    )
)
TWO = frozenset(
    (
        *("LOAD_FAST_LOAD_FAST", "LOAD_FAST_BORROW_LOAD_FAST_BORROW"),
        *("STORE_FAST_LOAD_FAST", "STORE_FAST_STORE_FAST"),
    )
)


NAMING: dict[int, frozenset[tuple[int, int]]] = {}
"""What `instructions_naming` found, by index."""


def instructions_naming(place: int) -> frozenset[tuple[int, int]]:
    """Return the instructions that may name the variable with this index."""
    if place in NAMING:
        return NAMING[place]
    found: set[tuple[int, int]] = set()
    for operation in haslocal:
        arguments: Iterable[int] = range(256)
        if opname[operation] in ONE:
            arguments = (place & 0xFF,)
        elif opname[operation] in TWO:
            arguments = (i for i in range(256) if place in divmod(i, 16))
        found.update((operation, argument) for argument in arguments)
    NAMING[place] = frozenset(found)
    return NAMING[place]


def passes_all() -> bool:
    """Tell whether everything is passed, also what the receiver's code cannot see.

    Returns:
        True in development mode (``-X dev``, ``FASTSIG_DEBUG=1``), with ``FASTSIG_PASS_ALL=1``,
        and where somebody traces now: a debugger shows variables.  ``FASTSIG_PASS_ALL=0`` is for
        tests in development mode.
    """
    if PASS_ALL:
        return True
    # A thread can be traced only where `threading` is imported; at exit it may have been cleared.
    threading = sys.modules.get("threading")
    for find in (sys.gettrace, getattr(threading, "gettrace", None)):
        tracer = None if find is None else find()
        if tracer is not None and shows_variables(tracer):
            return True
    monitoring = getattr(sys, "monitoring", None)
    return monitoring is not None and monitoring.get_tool(monitoring.DEBUGGER_ID) is not None


def shows_variables(tracer: object) -> bool:
    """Tell whether a trace function may show variables: all but coverage's may."""
    module = getattr(tracer, "__module__", None) or type(tracer).__module__
    return str(module).partition(".")[0] != "coverage"
