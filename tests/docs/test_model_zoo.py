"""The model zoo: its page and mim's files follow from the configs and results, and mim reads them."""

import importlib.util
import json
from pathlib import Path

import pytest

from smix_mm.experiments import EXPERIMENTS

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("model_zoo", ROOT / "docs/model_zoo.py")
zoo = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(zoo)


@pytest.fixture(scope="module")
def rendered():
    return zoo.render()


@pytest.fixture
def index():
    return pytest.importorskip("modelindex.load_model_index").load(str(ROOT / "model-index.yml"))


@pytest.fixture
def search(monkeypatch):
    """mim's search in the project's folder, where an installation in place finds it: models by name."""
    module = pytest.importorskip("mim.commands.search")
    monkeypatch.setattr(module, "is_installed", lambda package: True)
    monkeypatch.setattr(module, "get_installed_path", lambda package: str(ROOT))
    return lambda **options: module.get_model_info("smix-mm", to_dict=True, **options)


def test_the_page_and_every_metafile_are_up_to_date(rendered):
    found = {name: (ROOT / name).read_text("utf-8") for name in rendered if (ROOT / name).is_file()}
    assert [name for name, text in rendered.items() if found.get(name) != text] == [], "run `make pages`"
    written = {path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("metafile.yml")}
    assert written == {name for name in rendered if name.endswith("metafile.yml")}


def test_every_config_of_a_row_and_every_row_is_in_the_zoo(index, rendered):
    configs = {model.config for model in index.models}
    # The row of a study names the study, whose runs are entries once they have results.
    assert {row.config for row in EXPERIMENTS if row.config and "/studies/" not in row.config} <= configs
    assert all(f"| {row.row} | " in rendered["docs/model_zoo.md"] for row in EXPERIMENTS)
    quoted = set(rendered["docs/model_zoo.md"].split("`"))
    assert [path for path in map(Path, configs) if not {str(path)} & quoted and path.name not in quoted] == []


def test_a_model_is_named_once_in_a_collection_with_a_config_that_exists_and_no_weights(index):
    index.build_models_with_collections()
    names = [model.name for model in index.models]
    # mim searches for names in lower case.
    assert len(names) > 100 and len(set(names)) == len(names) and all(name == name.lower() for name in names)
    assert {model.in_collection for model in index.models} == {found.name for found in index.collections}
    assert all((ROOT / model.config).is_file() and not model.weights for model in index.models)
    assert not index.check_errors


def test_only_what_was_run_has_results_and_they_are_those_of_the_report(index, rendered):
    ran = {model.name: model.results.data[0].metrics for model in index.models if model.results}
    assert len(ran) >= 12 and {model.metadata.data["Status"] for model in index.models if model.name in ran} == {"run"}
    report = json.loads((ROOT / "results/first_study/report.json").read_text())
    for arm in report["arms"]:
        assert ran[f"first_study_{arm['arm']}_{arm['detector']}"] == {"AP50": round(arm["mean"], 2)}
    assert rendered["docs/model_zoo.md"].count("| not run |") > 90


def test_a_result_of_a_row_appears_without_a_change_of_the_script(tmp_path):
    config = "configs/imagenet/resnet50_cutmix_in1k.py"
    for seed, figure in enumerate((32.0, 34.0)):
        (tmp_path / f"seed{seed}").mkdir()
        result = dict(config=config, figures={"fgsm 8/255": {"accuracy/top1": figure}})
        (tmp_path / f"seed{seed}/robustness.json").write_text(json.dumps(result))
    files = zoo.render(tmp_path)
    assert f"| ResNet-50 + CutMix | `{config}` | 31.0 | 33.00±1.41 (2 runs) |" in files["docs/model_zoo.md"]
    assert "FGSM, ImageNet top-1 accuracy %: 33.00±1.41 (2 runs)\n" in files["configs/imagenet/metafile.yml"]


def test_mim_finds_models_by_name_collection_and_data(search):
    (found,) = search(configs=["resnet18_saliencymix_cifar10"]).values()
    assert found["config"] == "configs/cifar10/resnet18_saliencymix_cifar10.py"
    assert (found["epochs"], found["batch_size"], found["status"]) == (200, 128, "not run")
    assert {"first_study_saliencymix_pretraining", "resnet50_saliencymix_in1k"} <= set(search(models=["saliencymix"]))
    assert all("tiny-imagenet" in name for name in search(training_datasets=["tiny-imagenet"]))


def test_mim_download_reports_that_there_are_no_weights(search):
    # What `mim download` asks for first.
    with pytest.raises(ValueError, match="weight"):
        search(shown_fields=["weight", "config"])
