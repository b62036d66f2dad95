"""scripts/install.py fills .venv: by uv where it can, asked as pip is configured; else by pip."""

import hashlib
import os
import subprocess
import sys
import zipfile

import install
import pytest

from support import ROOT


def wheel(folder, name, version):
    """Write the smallest wheel, and return its entry of a lock."""
    file = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version.replace('+', '_')}.dist-info" if "+" in version else f"{name}-{version}.dist-info"
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        packed.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr(f"{info}/RECORD", "")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return f"{name}=={version} ; python_version > '3' \\\n    --hash=sha256:{digest}\n"
