"""The files that GitHub and Docker read: they name targets, scripts and versions that exist."""

import re
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).parents[2]
yaml = pytest.importorskip("yaml")
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def commands(job: str) -> str:
    return "\n".join(step.get("run", "") for step in WORKFLOW["jobs"][job]["steps"])


def test_the_workflow_runs_targets_and_scripts_that_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = {target for job in WORKFLOW["jobs"] for target in re.findall(r"make ([a-z-]+)", commands(job))}
    assert used == {"test", "test-long", "docs"} and used <= targets
    for job in WORKFLOW["jobs"]:
        for script in re.findall(r"bash (\S+)", commands(job)):
            assert (ROOT / script).is_file()


def test_the_pinned_environment_is_tested_on_every_python_that_it_is_pinned_for():
    (environment,) = PROJECT["tool"]["uv"]["environments"]
    lowest, above = (int(minor) for minor in re.findall(r"'3\.(\d+)'", environment))
    expected = [f"3.{minor}" for minor in range(lowest, above)]
    assert WORKFLOW["jobs"]["quick"]["strategy"]["matrix"]["python"] == expected
    classified = {one.rpartition(" ")[2] for one in PROJECT["project"]["classifiers"] if re.search(r":: 3\.\d", one)}
    assert classified == set(WORKFLOW["jobs"]["plain"]["strategy"]["matrix"]["python"])
    page = (ROOT / "docs/compatibility.md").read_text()
    for python in classified:
        assert re.search(rf"Python [^|]*\b{re.escape(python)}\b[^|]*\|[^|]*\| works", page), python


def test_the_issue_forms_are_forms_with_unique_fields():
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text())
        if path.name == "config.yml":
            continue
        fields = [part["id"] for part in form["body"]]
        assert form["name"] and form["description"] and len(fields) == len(set(fields)) > 0
        assert all(part["attributes"]["label"] for part in form["body"])


def test_the_docker_image_is_made_by_the_projects_own_set_up():
    text = (ROOT / "docker/Dockerfile").read_text()
    stages = re.findall(r"^FROM (\S+) AS (\S+)", text, re.MULTILINE)
    assert stages == [("python:3.11-slim", "gpu"), ("gpu", "cpu")] and "RUN make setup" in text
    ignored = (ROOT / ".dockerignore").read_text().split()
    # What the set-up and the commands need is copied.
    assert not {"smix_mm", "configs", "tools", "requirements.txt", "pyproject.toml", "Makefile"} & set(ignored)
