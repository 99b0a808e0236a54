"""The progress of a study on the screen."""

from smix_mm.study.progress import View, parse_progress

LINE = "11/22 10:00:00 - mmengine - INFO - Epoch(train)  [1][2/3]  lr: 1e-1  eta: 0:00:10  loss: 1.5\n"


def test_progress_is_parsed_from_a_log_line():
    assert parse_progress(LINE) == "Epoch(train) [1][2/3] lr: 1e-1 eta: 0:00:10 loss: 1.5"
    assert parse_progress("a warning\n") is None


def test_without_a_terminal_progress_is_printed_at_intervals():
    lines = []
    often, seldom = View(write=lines.append, seconds=0), View(write=lines.append, seconds=3600)
    often.update("mix/seed0/voc/seed0", LINE)
    seldom.update("mix/seed0/voc/seed0", LINE)
    often.update("mix/seed0/voc/seed0", "a warning\n")
    assert lines == ["  mix/seed0/voc/seed0: Epoch(train) [1][2/3] lr: 1e-1 eta: 0:00:10 loss: 1.5"]


def test_on_a_terminal_a_table_shows_what_runs(monkeypatch, capsys):
    import sys

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    view = View("A study")
    view.update("mix/seed0/voc/seed0", LINE)
    view.summarize("1 of 4 runs finished; time left: 3 min")
    view.log("[not markup] stays")
    view.finish("mix/seed0/voc/seed0")
    view.close()
    assert "[not markup] stays" in capsys.readouterr().out
