"""The tutorial: its notebook is the page, and the notebook runs from top to bottom."""

import os
import time
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext", reason="no jupytext here; `make setup` installs it")

ROOT = Path(__file__).parents[2]
PAGE, NOTEBOOK = ROOT / "docs/tutorial.md", ROOT / "docs/tutorial.ipynb"


def test_the_notebook_has_the_cells_of_the_page_and_no_outputs():
    page, notebook = jupytext.read(PAGE), jupytext.read(NOTEBOOK)
    cells = [[(cell.cell_type, cell.source) for cell in found.cells] for found in (page, notebook)]
    assert cells[0] == cells[1], "run `make pages`"
    assert len([kind for kind, _ in cells[0] if kind == "code"]) == PAGE.read_text("utf-8").count("```python\n")
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.long
@pytest.mark.timeout(1500)  # where other programs take most of the CPU
def test_the_notebook_runs_and_ends_with_the_table(tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="no nbclient here; `make setup` installs it")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = jupytext.read(NOTEBOOK)
    started, before = time.monotonic(), os.times()
    client = nbclient.NotebookClient(notebook, timeout=1200, resources=dict(metadata=dict(path=str(tmp_path))))
    client.execute()  # raises if a cell fails
    spent = os.times()
    cpu = sum(getattr(spent, name) - getattr(before, name) for name in ("children_user", "children_system"))
    print(f"the tutorial took {time.monotonic() - started:.0f} s, {cpu:.0f} s of CPU")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert sum("image/png" in output.get("data", {}) for cell in code for output in cell.outputs) == 1
    (table,) = [output.data["text/markdown"] for output in code[-1].outputs if "data" in output]
    header, _, *rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    assert header == ["arm", "seed 0", "seed 1", "mean", "sd", "95 % interval"]
    assert [row[0] for row in rows] == ["baseline", "saliencymix", "saliencymix − baseline"]
    assert all(len(row) == len(header) for row in rows)
    for row in rows:
        first, second, mean, deviation = map(float, row[1:5])
        low, high = map(float, row[5].split(" to "))
        assert mean == pytest.approx((first + second) / 2, abs=0.011) and low < mean < high and deviation > 0
    assert all(5 < float(figure) < 100 for row in rows[:2] for figure in row[1:3]), "a detector that learned nothing"
    assert float(rows[2][3]) == pytest.approx(float(rows[1][3]) - float(rows[0][3]), abs=0.011)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["work_dirs"]
    trainings = [path.parent for path in tmp_path.glob("work_dirs/tutorial/*/last_checkpoint")]
    assert len(trainings) == 6
    # Each training logs into its own folder, although all are in one process.
    assert all(len(list(folder.glob("*/vis_data/scalars.json"))) >= 1 for folder in trainings)
