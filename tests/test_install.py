"""scripts/install.py fills .venv: by uv, asked as pip is configured; by pip where uv cannot."""

import hashlib
import os
import subprocess
import sys
import zipfile

import pytest

import install
from support import ROOT


def test_every_line_of_the_lock_is_read():
    lock = (ROOT / "requirements.lock").read_text()
    assert "".join(entry[0] for entry in install.ENTRY.finditer(lock)) == lock


def test_uv_asks_where_pip_is_configured_to_ask(monkeypatch, tmp_path):
    settings = tmp_path / "pip.conf"
    settings.write_text(
        "[global]\nindex-url = https://mirror.test/simple\nfind-links = /not/this\n"
        "cert = /mirror.pem\n[install]\nextra-index-url =\n    https://a.test\n    https://b.test\n"
    )
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_", "SSL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels /more-wheels")
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "7")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "90")
    environment, _ = install.as_pip_is_configured()
    assert environment["UV_DEFAULT_INDEX"] == "https://mirror.test/simple"
    assert environment["UV_INDEX"] == "https://a.test https://b.test"
    assert environment["UV_FIND_LINKS"] == "/wheels,/more-wheels"
    assert environment["SSL_CERT_FILE"] == "/mirror.pem"
    assert environment["UV_HTTP_TIMEOUT"] == "7"


def wheel(folder, name, version):
    """Write the smallest wheel, and return its entry of a lock."""
    file = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"
        )
        packed.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any"
        )
        packed.writestr(f"{about}/RECORD", "")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return f"{name}=={version} ; python_version > '3' \\\n    --hash=sha256:{digest}\n"


@pytest.mark.heavy
def test_without_uv_pip_installs_and_pytorch_comes_from_another_index(tmp_path):
    (tmp_path / "index").mkdir()
    (tmp_path / "other").mkdir()
    lock = [wheel(tmp_path / "index", name, "1.0") for name in ("plain", "torch", "torchvision")]
    lock.append("uv==0.0.1 \\\n    --hash=sha256:00\nnvidia-thing==1 \\\n    --hash=sha256:00\n")
    for name in ("torch", "torchvision"):
        wheel(tmp_path / "other", name, "1.0+cpu")
    (tmp_path / "requirements.lock").write_text("".join(lock))
    subprocess.run([sys.executable, "-m", "venv", "env"], cwd=tmp_path, check=True)
    said = subprocess.run(
        ["env/bin/python", str(ROOT / "scripts/install.py"), "other"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(tmp_path / "index"),
        },
        check=False,
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr
    assert "so pip installs" in said.stdout
    there = {file.name for file in tmp_path.glob("env/lib/*/site-packages/*.dist-info")}
    assert {"plain-1.0.dist-info", "torch-1.0+cpu.dist-info"} <= there
    assert "nvidia_thing-1.dist-info" not in there
