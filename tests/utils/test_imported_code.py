"""Which files of the package a real process imports, and whether they changed."""

import subprocess
import sys
from pathlib import Path

from smix_mm.utils.files import file_hash
from smix_mm.utils.imported_code import VARIABLE, changed_code, read_imports

PACKAGE = Path(__file__).parents[2] / "smix_mm"
PROGRAM = f"""
import os
os.environ["{VARIABLE}"] = "{{path}}"
import smix_mm.cli
try:
    smix_mm.cli.run("train", ["--help"])
except SystemExit:
    pass
import smix_mm.study.run
if os.fork() == 0:
    import smix_mm.version, smix_mm.utils.choices, smix_mm.mixing.boxes_that_do_not_exist
"""


def test_every_import_of_a_process_and_of_its_children_is_recorded(tmp_path):
    path = tmp_path / "code.txt"
    program = PROGRAM.replace("{path}", str(path)).replace("smix_mm.mixing.boxes_that_do_not_exist", "smix_mm.doctor")
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program], check=True, timeout=100)
        whole = path.read_text()
        path.write_text(whole[: whole.index("utils/files.py") + 8])  # as after a kill in the middle of a write
    subprocess.run([sys.executable, "-c", program], check=True, timeout=100)
    hashes = read_imports(path)
    assert {"__init__.py", "cli/__init__.py", "cli/train.py", "utils/files.py", "version.py"} <= {*hashes}
    assert any(name.startswith("doctor") for name in hashes), "imported in the child"
    assert not [name for name in hashes if name.startswith(("study/", "visualization/", "analysis/"))]
    assert all(file_hash(PACKAGE / name) == digest for name, digest in hashes.items())
    assert changed_code(hashes) == []


def test_a_cut_line_is_ignored_and_two_hashes_of_one_file_count_as_a_change(tmp_path):
    path = tmp_path / "code.txt"
    digest = file_hash(PACKAGE / "version.py")
    path.write_text(f"{digest}  version.py\n{digest}  utils/fi")
    assert read_imports(path) == {"version.py": digest}
    path.write_text(f"{digest}  version.py\n{'0' * 64}  version.py\n{digest}  version.py\n")
    assert changed_code(read_imports(path)) == ["version.py"]
    assert changed_code({"none.py": digest}) == ["none.py"]
    assert read_imports(tmp_path / "none.txt") == {}
