"""What is shown while a study works."""

from smix_mm.study.progress import PlainView, progress_of

LINE = "11/22 10:00:00 - mmengine - INFO - Epoch(train)  [1][2/3]  lr: 1e-1  eta: 0:00:10  loss: 1.5\n"


def test_the_part_of_a_line_that_tells_progress_is_found():
    assert progress_of(LINE) == "Epoch(train) [1][2/3] lr: 1e-1 eta: 0:00:10 loss: 1.5"
    assert progress_of("a warning\n") is None


def test_without_a_terminal_progress_is_shown_now_and_then():
    said = []
    often, seldom = PlainView(said.append, seconds=0), PlainView(said.append, seconds=3600)
    often.watch("mix/seed0/voc/seed0", LINE)
    seldom.watch("mix/seed0/voc/seed0", LINE)
    often.watch("mix/seed0/voc/seed0", "a warning\n")
    assert said == ["  mix/seed0/voc/seed0: Epoch(train) [1][2/3] lr: 1e-1 eta: 0:00:10 loss: 1.5"]


def test_on_a_terminal_a_table_shows_what_runs(monkeypatch, capsys):
    import sys

    from smix_mm.study.progress import open_view

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    view = open_view("A study")
    view.watch("mix/seed0/voc/seed0", LINE)
    view.state("1 of 4 runs finished; time left: 3 min")
    view.say("[not markup] stays")
    view.ended("mix/seed0/voc/seed0")
    view.close()
    assert "[not markup] stays" in capsys.readouterr().out
