"""The environment variables that switch fastsig."""

from __future__ import annotations

import os


def switch(name: str, default: bool = False) -> bool:
    """Return whether the environment variable `name` is on ("1") or off ("0").

    Raises:
        ValueError: It has another value.
    """
    value = os.environ.get(name, "")
    if value not in ("", "0", "1"):
        raise ValueError(f"{name} must be 0 or 1, not {value!r}")
    return value == "1" if value else default
