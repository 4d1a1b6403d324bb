"""Run the Python examples of a page, in order, as one program.

Those that start with ``>>>`` must print what the page says.
"""

import doctest
import re
from pathlib import Path


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
    return 1 if runner.failures else 0
