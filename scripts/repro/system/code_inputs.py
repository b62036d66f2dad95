"""Which local files a script, and the whole project, are made of: a rule's code is its input.

Snakemake compares inputs by checksum: a file merely touched or checked out again reruns nothing,
an edited helper reruns exactly the jobs whose script imports it.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

# What results are made by. Tests and documents are left out.
_PROJECT = ("Snakefile", "rules/*.smk", "scripts/**/*.py", "envs/*.yaml", "resources/**/*")


def code_of_project(root: Path) -> list[Path]:
    """Return all files of the project in ``root`` that results are made by, sorted."""
    files = {file for pattern in _PROJECT for file in root.glob(pattern) if file.is_file()}
    return sorted(file for file in files if not _is_by_product(file.relative_to(root)))


def _is_by_product(file: Path) -> bool:
    """Return whether Python, an editor or the system has left the file there."""
    return any(part == "__pycache__" or part.startswith(".") for part in file.parts)


def code_of(script: Path, roots: tuple[Path, ...]) -> list[Path]:
    """Return ``script`` and every local module it imports, directly or not, sorted.

    Imports are read from the source (also those inside functions), nothing is executed. A name
    that is found under none of ``roots`` is a library and is left out.

    Args:
        script: the Python file a rule runs.
        roots: the folders Python would look for local modules in.

    Raises:
        FileNotFoundError: the script is not there.
        SyntaxError: a file is not Python.
    """
    seen: set[Path] = set()
    waiting = [script]
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting += _imports(file, roots)
    return sorted(seen)


@cache
def _imports(file: Path, roots: tuple[Path, ...]) -> tuple[Path, ...]:
    found: list[Path] = []
    for node in ast.walk(ast.parse(file.read_bytes(), filename=str(file))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found += _files_of(alias.name, roots)
        elif isinstance(node, ast.ImportFrom):
            places = (_package(file, node.level),) if node.level else roots
            base = node.module or ""
            for alias in node.names:
                # `from a import b`: b is either a module of its own or a name inside a.
                found += _files_of(f"{base}.{alias.name}".lstrip("."), places)
    return tuple(found)


def _package(file: Path, level: int) -> Path:
    return file.parents[level - 1]


def _files_of(module: str, roots: tuple[Path, ...]) -> list[Path]:
    """Return the files Python runs to import ``module``: its packages' ``__init__`` and itself."""
    parts = module.split(".")
    for root in roots:
        files = [root.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
        files += [
            root.joinpath(*parts[:depth]).with_suffix(".py")
            for depth in (len(parts) - 1, len(parts))
            if depth
        ]
        if existing := [file for file in files if file.is_file()]:
            return existing
    return []
