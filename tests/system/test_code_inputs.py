from repro.system.code_inputs import code_of, code_of_project


def write(folder, **files):
    for name, text in files.items():
        file = folder / (name.replace("__", "/", 1) + ".py")
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)


def names(files, folder):
    return [str(file.relative_to(folder)) for file in files]


def test_imports_are_followed_to_the_end(tmp_path):
    write(
        tmp_path,
        script="import os\nfrom lib import a\nfrom lib.b import f\nimport numpy as np\n",
        lib__a="from lib.c import g\n",
        lib__b="def f():\n    from lib import d\n",
        lib__c="",
        lib__d="",
        lib__unused="",
    )
    (tmp_path / "lib/__init__.py").touch()
    assert names(code_of(tmp_path / "script.py", (tmp_path,)), tmp_path) == [
        "lib/__init__.py",
        "lib/a.py",
        "lib/b.py",
        "lib/c.py",
        "lib/d.py",
        "script.py",
    ]


def test_relative_imports_and_circles(tmp_path):
    write(
        tmp_path,
        script="import lib.a\n",
        lib__a="from .b import f\nfrom . import c\n",
        lib__b="from lib import a\n",
        lib__c="",
    )
    found = names(code_of(tmp_path / "script.py", (tmp_path,)), tmp_path)
    assert found == ["lib/a.py", "lib/b.py", "lib/c.py", "script.py"]


def test_a_library_of_the_same_first_name_is_left_out(tmp_path):
    write(tmp_path, script="from numpy import array\nimport yaml\n")
    assert names(code_of(tmp_path / "script.py", (tmp_path,)), tmp_path) == ["script.py"]


def test_the_project_is_what_results_are_made_by(tmp_path):
    made_by = ["Snakefile", "envs/a.yaml", "resources/a/b.csv", "rules/a.smk", "scripts/a/b.py"]
    others = ["README.md", "my.yaml", "scripts/__pycache__/a.py", "resources/.b.csv.swp"]
    for name in [*made_by, *others]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert names(code_of_project(tmp_path), tmp_path) == made_by
