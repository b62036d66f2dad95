"""The one exception that is meant for the person at the keyboard, and how to word it."""

from __future__ import annotations

import os
import re
import textwrap

_LONGEST = 120  # characters of a library's own words


class UserError(Exception):
    """Something the user can mend.

    The message names the file or key, what was expected, what was found and what to do next.
    Scripts print it without a traceback.
    """


def unreadable(
    path: str | os.PathLike[str], kind: str, way_out: str, error: Exception
) -> UserError:
    """Return the error for a file that a library could not read: what it is, and what to do.

    Args:
        path: the file, or the folder it lies in.
        kind: what belongs there, such as "a whole checkpoint".
        way_out: what to do then.
        error: what the library raised; its own words come last.
    """
    if isinstance(error, FileNotFoundError):
        way_out = way_out.removeprefix("delete it and ")
        return UserError(f"{error.filename or path}: there is no such file; {way_out}")
    return UserError(f"{path}: {what_is_wrong(error, kind)}; {way_out} ({own_words(error)})")


def what_is_wrong(error: Exception, kind: str) -> str:
    """Say of a file that cannot be read, in words for anyone, what is wrong with it."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError) and error.errno:
        return "cannot be read"
    return f"damaged, or not {kind}"


def own_words(error: Exception) -> str:
    """Return the first sentence of what a library says, in one short line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, KeyError):
        text = f"{error.args[0]} is missing" if error.args else "something is missing"
    elif mark := getattr(error, "problem_mark", None):  # of YAML
        text = f"line {mark.line + 1}: {getattr(error, 'problem', '')}"
    elif isinstance(error, EOFError):
        text = "it ends too early"
    else:
        text = str(error).strip() or type(error).__name__
    first = re.split(r"\n|(?<=\w\w)\. ", text)[0]
    return textwrap.shorten(first, _LONGEST, placeholder=" …").rstrip(".")
