"""The documentation: nothing that it names is missing, what it shows runs, and it builds without a warning."""

import ast
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LEFT_OUT = ast.literal_eval(re.search(r"^exclude_patterns = (.*)$", (DOCS / "conf.py").read_text(), re.MULTILINE)[1])
TEXTS = {page.name: page.read_text("utf-8") for page in sorted(DOCS.glob("*.md")) if page.name not in LEFT_OUT}
FENCED = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# Of a path with a part that the reader chooses, only what stands before that part is looked for.
PATH = re.compile(r"(?<![\w/.-])(?:tools|configs|tests|smix_mm|docs|examples)/[a-z0-9_./-]*")
# Messages that other packages write, all or in part, and that head an entry of troubleshooting.md.
OF_OTHERS = [
    "… is not in the mmpretrain::batch augment registry.",
    "Failed to import custom modules from {'imports': [… the current sys.path is: …",
    "No module named 'mmcv._ext'",
    "nms_impl: implementation for device cuda:0 not found.",
    "module 'cv2' has no attribute 'saliency'",
    "MMCV==… is used but incompatible. Please install mmcv>=…, <….",
    "Duplicate key is not allowed among bases. Duplicate keys: {'…'}",
    "mmengine does not support to load smix_mm config.",
    "… __init__() got an unexpected keyword argument 'batch_augments'",
    "object of type 'int' has no len()",
    "Weights only load failed. …",
    "The model and loaded state dict do not match exactly",
    "data worker … is killed by signal: …",
    "The server socket has failed to listen … EADDRINUSE, message: address already in use",
]


def prose(page: str) -> str:
    return FENCED.sub("", TEXTS[page])


def blocks(page: str, language: str) -> list[str]:
    return [code for name, code in FENCED.findall(TEXTS[page]) if name == language]


def test_every_page_is_in_the_table_of_contents_and_nothing_else_is():
    (toctree,) = blocks("index.md", "{toctree}")
    listed = [line for line in toctree.split("\n") if line and not line.startswith(":")]
    assert sorted(f"{name}.md" for name in listed) == sorted(set(TEXTS) - {"index.md"})


@pytest.mark.parametrize("page", TEXTS)
def test_a_page_has_at_most_300_lines(page):
    assert len(TEXTS[page].splitlines()) <= 300


@pytest.mark.parametrize("page", TEXTS)
def test_every_link_and_figure_of_a_page_is_there(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    inside = [target.partition("#")[0] for target in targets if "://" not in target]
    # Sphinx knows nothing outside of docs/.
    assert [target for target in inside if target.startswith(("..", "/"))] == []
    assert [target for target in inside if target and not (DOCS / target).is_file()] == []


@pytest.mark.parametrize("page", TEXTS)
def test_every_path_of_the_project_that_a_page_names_is_there(page):
    code = re.findall(r"`([^`]+)`", prose(page)) + blocks(page, "bash") + blocks(page, "python")
    named = {found.rstrip(".") for part in code for found in PATH.findall(part)}
    # The folder that only an installed package has.
    assert [path for path in sorted(named) if not exists(path) and ".mim" not in path] == []


def exists(path: str) -> bool:
    """Whether there is such a file or folder, or, of the beginning of a name, one that begins so."""
    return (ROOT / path).exists() or any((ROOT / path).parent.glob(f"{Path(path).name}*"))


def test_every_tool_and_every_family_of_configs_is_described():
    tools = [path.name for path in (ROOT / "tools").glob("*.py")]
    families = [path.name for path in (ROOT / "configs").iterdir() if path.is_dir() and path.name[0] != "_"]
    assert len(tools) > 10 and len(families) > 5
    assert [name for name in sorted(tools) if f"tools/{name}" not in TEXTS["tools.md"]] == []
    assert [name for name in sorted(families) if f"configs/{name}" not in TEXTS["configs.md"]] == []


# A page with a notebook beside it is executed as that notebook, see test_tutorial.py.
RUN_HERE = [page for page in TEXTS if blocks(page, "python") and not (DOCS / page).with_suffix(".ipynb").is_file()]


@pytest.mark.parametrize("page", RUN_HERE)
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    """From top to bottom, in one folder with the project's configs; a block headed by a file's name is that file."""
    # Registers all augmentations before the registry's content is saved.
    import mmpretrain.models  # noqa: F401
    from mmpretrain.registry import BATCH_AUGMENTS

    from smix_mm.saliency import SALIENCY

    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    kept = [(registry, dict(registry)) for registry in (SALIENCY, BATCH_AUGMENTS._module_dict)]
    code = blocks(page, "python")
    files = []
    try:
        for place, block in enumerate(code):
            heading = re.match(r"# (\w+)\.py\n", block)
            if heading is None:
                exec(compile(block, f"{page}, block {place + 1}", "exec"), {})
                continue
            files.append(heading[1])
            Path(f"{heading[1]}.py").write_text(block)
            assert any(heading[1] in later for later in code[place + 1 :]), f"nothing uses {heading[1]}.py"
    finally:
        for name in files:
            sys.modules.pop(name, None)
        for registry, before in kept:
            registry.clear()
            registry.update(before)


def test_every_public_name_of_every_package_is_on_the_page_of_the_api():
    described = set(re.findall(r"\w+", TEXTS["api.md"] + TEXTS["api_training.md"]))
    for package in (ROOT / "smix_mm/__init__.py", *(ROOT / "smix_mm").glob("*/__init__.py")):
        listed = re.search(r"^__all__ = (\[.*?\])", package.read_text("utf-8"), re.DOTALL | re.MULTILINE)
        public = set(ast.literal_eval(listed[1])) if listed else set()
        assert public - described - {"__version__"} == set(), package


def messages() -> str:
    """Every string of the code, one a line, with … for what an f-string inserts."""
    found = (ROOT / "tools/setup.sh").read_text("utf-8").splitlines()
    for path in [*(ROOT / "smix_mm").rglob("*.py"), *(ROOT / "tools").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def test_every_message_of_this_package_that_heads_an_entry_is_in_the_code():
    headings = re.findall(r"^### (.*)", TEXTS["troubleshooting.md"], re.MULTILINE)
    quoted = {message for heading in headings for message in re.findall(r"`([^`]+)`", heading)}
    assert quoted >= set(OF_OTHERS), "a message of another package that heads no entry any more"
    known = messages()
    ours = (message.removeprefix("setup: ") for message in quoted - set(OF_OTHERS))
    parts = [part.strip(" :;,()") for message in ours for part in message.split("…")]
    assert [part for part in sorted(parts) if len(part.split()) >= 4 and part not in known] == []


@pytest.mark.long
def test_the_tools_take_a_module_of_the_users_own_as_the_page_on_extending_says(few_cifar10, run_tool, tmp_path):
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    for block in blocks("extending.md", "python"):
        heading = re.match(r"# (\w+\.py)\n", block)
        if heading is not None:
            (tmp_path / heading[1]).write_text(block)
    commands = [command.split() for command in re.findall(r"`PYTHONPATH=\. python ([^`]+)`", prose("extending.md"))]
    assert [command[0] for command in commands] == ["tools/train.py", "tools/browse_mix.py", "tools/study.py"]
    commands[0] += ["--no-validate", "--cfg-options", "train_cfg.max_epochs=1", "train_dataloader.batch_size=40"]
    printed = [
        run_tool(*command, cwd=tmp_path, PYTHONPATH=".", SMIX_CIFAR10=few_cifar10).stdout for command in commands
    ]
    assert (tmp_path / "work_dirs/my_config/epoch_1.pth").is_file()
    assert (tmp_path / "mixes.png").read_bytes().startswith(b"\x89PNG")
    assert "9 runs, baseline, saliencymix, mean-contrast" in printed[2]


@pytest.mark.long
@pytest.mark.skipif(find_spec("sphinx") is None, reason="no Sphinx here; `make docs` installs it")
def test_sphinx_builds_every_page_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", DOCS, tmp_path]
    built = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-4000:]
    assert {page.with_suffix(".md").name for page in tmp_path.glob("*.html")} >= set(TEXTS)
    assert "saliency_mix(" in re.sub(r"<[^>]+>", "", (tmp_path / "api.html").read_text("utf-8"))
