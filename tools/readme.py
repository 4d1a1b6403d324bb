"""Make the relative links of README.md absolute: ``python tools/readme.py ADDRESS VERSION``.

A package index shows README.md where its relative links and images lead nowhere.  ADDRESS is that
of the repository on a GitHub, VERSION a tag, a branch or a commit.  The file is changed in place;
the release workflow runs this before it builds.
"""

import re
import sys
from pathlib import Path

LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^]]*)\]\((?!\w+:|#)(?P<path>[^)\s]+)\)")


def absolute(text, address, version):
    """Return the text with absolute links."""

    def link(match):
        kind = "raw" if match["image"] else "blob"
        target = f"{address.rstrip('/')}/{kind}/{version}/{match['path']}"
        return f"{match['image']}[{match['text']}]({target})"

    return LINK.sub(link, text)


if __name__ == "__main__":
    readme = Path("README.md")
    text = readme.read_text(encoding="utf-8")
    readme.write_text(absolute(text, *sys.argv[1:]), encoding="utf-8")
