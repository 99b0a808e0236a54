"""Several Runners in one process, as in a notebook."""

from pathlib import Path

from smix_mm.engine.launch import build_runner, load_config


def test_a_second_runner_logs_into_its_own_folder_though_its_visualizer_has_the_same_name(tmp_path):
    for name in ("first", "second"):
        # As MMDetection's configs name it.
        options = {"visualizer.name": "visualizer", "log_level": "ERROR"}
        runner = build_runner(load_config("configs/demo/pretrain_baseline.py", tmp_path / name, options, "none"))
        runner.visualizer.add_scalar("loss", 1.0)
        assert runner.visualizer is type(runner.visualizer).get_current_instance()
        assert len(list(Path(tmp_path, name).glob("*/vis_data/scalars.json"))) == 1
