"""Pieces of a study: exported without weights, imported elsewhere, continued there, and refused where they differ."""

import json
import shutil
from dataclasses import dataclass, field

import pytest
import torch

from smix_mm.study.commands import describe_study
from smix_mm.study.config import load_study
from smix_mm.study.pieces import export_study, import_study, verify_study
from smix_mm.study.report import report_study
from smix_mm.study.run import Run, plan_study, run_state
from smix_mm.study.worker import Worker
from smix_mm.transfer.checkpoint import read_checkpoint
from smix_mm.utils.errors import StepError, UsageError
from smix_mm.utils.files import file_hash, write_json

STUDY = """
name = "A study"
arms = dict(plain="pretrain.py", mix=dict(config="pretrain.py", cfg_options={"model.depth": 18}))
pretraining_seeds = [0, 1, 2]
planned = [("plain", "mix")]
metric = "accuracy/top1"
"""
DETECTORS = STUDY.replace("accuracy/top1", "voc/mAP_11point") + 'detectors = dict(voc="detector.py")\n'


@dataclass(frozen=True)
class Recording(Worker):
    """Records the trainings and writes the files that they would leave, with figures that follow from arm and seed."""

    calls: list = field(default_factory=list)

    def _run(self, folder, program, on_line, *arguments):
        run = Run.parse(folder.relative_to(self.folder).as_posix())
        work_dir = folder / program
        work_dir.mkdir()
        figure = len(run.arm) + run.pretraining_seed**2 / 4
        if program == "test":
            (work_dir / "detections.npz").write_bytes(b"predictions")
            write_json(work_dir / "metrics.json", {"voc/mAP_11point": figure / 100})
            return
        self.calls.append(run.name)
        torch.save({"state_dict": {"backbone.conv1.weight": torch.full((4, 3, 3, 3), figure)}}, work_dir / "last.pth")
        (work_dir / "last_checkpoint").write_text(str(work_dir / "last.pth"))
        (work_dir / "log/vis_data").mkdir(parents=True)
        lines = [{"step": 1, "loss": figure}, {"step": 2, "accuracy/top1": figure}]
        (work_dir / "log/vis_data/scalars.json").write_text("\n".join(map(json.dumps, lines)))
        for text in map(str, arguments):
            if text.startswith("model.backbone.init_cfg.checkpoint="):
                digest = read_checkpoint(text.partition("=")[2])["meta"]["hash"]
                write_json(work_dir / "load_proof.json", dict(backbone_hash=digest))


@pytest.fixture
def study(tmp_path):
    """The config of a study of pretrainings."""
    (tmp_path / "pretrain.py").write_text("data_root = '{{$A_ROOT:data}}'\nmodel = dict(depth=50, root=data_root)\n")
    (tmp_path / "detector.py").write_text("model = dict()\ncustom_hooks = [dict(type='LoadProofHook')]\n")
    (tmp_path / "study.py").write_text(STUDY)
    return tmp_path / "study.py"


def execute(config, work_dir, seeds=(0, 1, 2), last=None) -> list[str]:
    """What `run` does, without its programs; the runs that were trained."""
    loaded = load_study(config)
    worker, runs = Recording(loaded, work_dir), plan_study(loaded)
    write_json(work_dir / "study.json", describe_study(loaded, runs, config))
    for run in runs:
        if run.pretraining_seed in seeds:
            worker.execute(run, lambda text: None, print)
        if run.name == last:
            break
    return worker.calls


def content(folder) -> dict[str, tuple[str, int]]:
    """Hash and time of the last change of every file but ``study.json``, which is written each time."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "study.json"]
    return {path.relative_to(folder).as_posix(): (file_hash(path), path.stat().st_mtime_ns) for path in files}


@pytest.fixture
def piece(study, tmp_path):
    """Two of three seeds, as another machine exports them."""
    execute(study, tmp_path / "a", seeds=(0, 1))
    export_study(tmp_path / "a", tmp_path / "piece")
    return tmp_path / "piece"


def test_a_study_continues_elsewhere_and_its_report_is_that_of_one_machine(study, piece, tmp_path, capsys):
    assert not list(piece.rglob("*.pth")) and not list(piece.rglob("*.log"))
    assert "with 2 pretraining seeds" in (piece / "report.md").read_text()
    import_study(study, piece, tmp_path / "b")
    assert "import: 4 runs added" in capsys.readouterr().out
    assert execute(study, tmp_path / "b") == ["plain/seed2/pretraining", "mix/seed2/pretraining"]
    export_study(tmp_path / "b", piece)
    assert "export: 2 runs added" in capsys.readouterr().out
    assert len(execute(study, tmp_path / "one")) == 6
    for folder in ("b", "one"):
        report_study(tmp_path / folder)
    for name in ("report.md", "report.json", "report.csv", "report.html"):
        expected = (tmp_path / "one" / name).read_bytes()
        assert (piece / name).read_bytes() == (tmp_path / "b" / name).read_bytes() == expected, name
    assert "with 3 pretraining seeds" in (piece / "report.md").read_text()
    assert verify_study(piece) == verify_study(tmp_path / "b") == []


def test_importing_and_exporting_again_changes_nothing(study, piece, tmp_path, capsys):
    import_study(study, piece, tmp_path / "b")
    before = content(tmp_path / "b")
    import_study(study, piece, tmp_path / "b")
    assert content(tmp_path / "b") == before
    runs = {name: found for name, found in content(piece).items() if name.endswith(("step.json", "result.json"))}
    export_study(tmp_path / "b", piece)
    assert runs.items() <= content(piece).items()
    out = capsys.readouterr().out
    assert "import: 0 runs added" in out and "export: 0 runs added" in out


def change(path, **values):
    write_json(path, {**json.loads(path.read_text()), **values})


def other_config(study, piece):
    study.write_text(STUDY.replace("18", "34"))


def other_name(study, piece):
    study.write_text(STUDY.replace("A study", "Another study"))


def other_pairs(study, piece):
    study.write_text(STUDY.replace('("plain", "mix")', '("mix", "plain")'))


def changed_result(study, piece):
    change(piece / "mix/seed1/pretraining/result.json", metrics={"accuracy/top1": 99.0})


def other_seed(study, piece):
    shutil.rmtree(piece / "mix/seed1")
    shutil.copytree(piece / "mix/seed0", piece / "mix/seed1")


def other_code(study, piece):
    change(piece / "mix/seed0/pretraining/step.json", code={"transfer/backbone.py": "0" * 64})


def without_provenance(study, piece):
    (piece / "mix/seed0/pretraining/provenance.json").unlink()


@pytest.mark.parametrize(
    "spoil, message",
    [
        (other_config, "mix/seed0/pretraining: the piece has another value of its config"),
        (other_name, "should be of the same study: its name is 'A study', expected 'Another study'"),
        (other_pairs, "its planned is"),
        (changed_result, "mix/seed1/pretraining: result.json is missing or was changed"),
        (other_seed, "mix/seed1/pretraining: its pretraining_seed is 0, but by the name of its folder 1"),
        (other_code, "the package's transfer/backbone.py changed since; use the commit"),
        (without_provenance, "provenance.json should be a JSON file"),
    ],
)
def test_a_piece_that_differs_is_refused_and_nothing_is_written(study, piece, tmp_path, spoil, message):
    spoil(study, piece)
    with pytest.raises(UsageError, match="same study|cannot be imported, and nothing was") as error:
        import_study(study, piece, tmp_path / "b")
    assert message in str(error.value)
    assert not (tmp_path / "b").exists() or not content(tmp_path / "b")


def test_another_result_of_the_same_run_is_refused_in_both_directions(study, piece, tmp_path):
    execute(study, tmp_path / "b", seeds=(1,))
    folder = tmp_path / "b/mix/seed1/pretraining"
    change(folder / "result.json", metrics={"accuracy/top1": 12.0})
    marker = json.loads((folder / "step.json").read_text())
    change(folder / "step.json", outputs={**marker["outputs"], "result.json": file_hash(folder / "result.json")})
    before, exported = content(tmp_path / "b"), content(piece)
    with pytest.raises(UsageError, match="mix/seed1/pretraining has another result there"):
        import_study(study, piece, tmp_path / "b")
    with pytest.raises(UsageError, match="mix/seed1/pretraining has another result there"):
        export_study(tmp_path / "b", piece)
    assert content(tmp_path / "b") == before and content(piece) == exported


def test_an_unfinished_run_is_set_aside_for_the_imported_one(study, piece, tmp_path):
    folder = tmp_path / "b/mix/seed1/pretraining"
    write_json(folder / "step.json", dict(inputs={}, outputs={}))
    (folder / "epoch_5.pth").write_text("half")
    import_study(study, piece, tmp_path / "b")
    assert run_state(Run("mix", 1), tmp_path / "b").state == "finished" and not (folder / "epoch_5.pth").exists()
    assert [path.read_text() for path in folder.parent.glob("*.stale-*/epoch_5.pth")] == ["half"]


def test_data_may_lie_elsewhere_and_a_piece_does_not_have_its_folder(study, tmp_path, monkeypatch):
    monkeypatch.setenv("A_ROOT", "/disk/of/one/cifar10")
    execute(study, tmp_path / "a", seeds=(0,))
    export_study(tmp_path / "a", tmp_path / "piece")
    assert not any(b"/disk/of/one" in path.read_bytes() for path in (tmp_path / "piece").rglob("*.json"))
    monkeypatch.setenv("A_ROOT", "elsewhere/c10")
    import_study(study, tmp_path / "piece", tmp_path / "b")
    assert execute(study, tmp_path / "b", seeds=(0,)) == []


def test_a_larger_study_goes_on_with_the_runs_of_a_smaller_one_and_not_the_other_way_round(study, piece, tmp_path):
    study.write_text(STUDY.replace("dict(plain", 'dict(more="pretrain.py", plain'))
    import_study(study, piece, tmp_path / "b")
    assert execute(study, tmp_path / "b", seeds=(0,)) == ["more/seed0/pretraining"]
    export_study(tmp_path / "b", piece)
    study.write_text(STUDY)
    execute(study, tmp_path / "a", seeds=())
    with pytest.raises(UsageError, match="should name all runs in .*piece, but it does not name more/seed0"):
        export_study(tmp_path / "a", piece)


def test_a_pretraining_goes_with_its_fine_tunings_and_needs_no_backbone_then(study, tmp_path, capsys):
    study.write_text(DETECTORS)
    execute(study, tmp_path / "a", seeds=(0,), last="mix/seed0/pretraining")
    export_study(tmp_path / "a", tmp_path / "piece")
    reason = "left out: mix/seed0/pretraining: mix/seed0/voc/seed0 needs the backbone and is not finished"
    assert reason in capsys.readouterr().out
    import_study(study, tmp_path / "piece", tmp_path / "b")
    trained = execute(study, tmp_path / "b", seeds=(0,))
    assert trained == ["mix/seed0/pretraining", "mix/seed0/voc/seed0"]
    shutil.rmtree(tmp_path / "b/plain/seed0/voc")
    message = (
        "plain/seed0/voc/seed0 has no backbone .* because plain/seed0/pretraining was imported without backbone.pth"
    )
    with pytest.raises(StepError, match=message):
        execute(study, tmp_path / "b", seeds=(0,))
