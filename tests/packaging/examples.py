"""Run the Python examples of a page, in order, as one program.

Those that start with ``>>>`` must print what the page says.  Receivers of Celery's signals, which
nobody sends here, must name arguments that are sent.
"""

import doctest
import inspect
import re
from pathlib import Path
from weakref import ReferenceType


def main(page):
    """Run the examples of a page; return the exit status."""
    text = Path(page).read_text(encoding="utf-8")
    names = {"__name__": "__main__"}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for block in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        code, line = block[1], text.count("\n", 0, block.start(1))
        if code.startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(code, names, page, page, line)
            runner.run(test, clear_globs=False)
            names = test.globs
        else:
            exec(compile("\n" * line + code, page, "exec"), names)

    from fastsig import signals  # not sooner than the page

    for signal in (getattr(signals, name) for name in signals.__all__):
        for _, reference in signal.receivers:
            receiver = reference() if isinstance(reference, ReferenceType) else reference
            named = {
                name
                for name, parameter in inspect.signature(receiver).parameters.items()
                if parameter.kind is not parameter.VAR_KEYWORD
            }
            assert named <= {"signal", "sender", *signal.providing_args}, (signal, receiver)
    return 1 if runner.failures else 0
