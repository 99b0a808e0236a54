"""The study of saliency: arms that differ in the mixing alone, areas that match where claimed, and a smoke run."""

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from smix_mm.study.config import Study, load_study

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "configs/studies/does_saliency_matter"
LISTED = [
    "baseline", "cutout", "cutmix", "random-shift", "official", "saliency-batch", "saliency-clip", "saliency-shift",
    "spectral-residual", "non-salient", "random-ties",
]  # fmt: skip
CUT = [*LISTED, "shuffled-clip", "shuffled-shift"]
ALL = [*CUT, "resizemix", "guidedmixup", "saliencymix-saliency-label", "recursivemix", "saliency-before-crop"]
SHORT = ["baseline", "cutmix", "random-shift", "official", "saliency-batch", "saliency-shift"]
TRANSFER = ["baseline", "cutmix", "official", "saliency-shift"]
# Arms, the config of their pretraining, number of seeds.
STUDIES = {
    "cifar10": (ALL, "pretrain_cifar10", 5),
    "cifar100": (ALL, "pretrain_cifar100", 5),
    "short": (SHORT, "pretrain_cifar10", 3),
    "transfer": (TRANSFER, "pretrain_imagenet-stem", 5),
    "smoke": (ALL, "pretrain_smoke", 1),
    "smoke_transfer": (TRANSFER, "pretrain_smoke-transfer", 1),
    "reflect": (["baseline", "random-shift", "saliency-shift"], "pretrain_cifar10", 5),
    "plain": (["baseline", "cutmix", "random-shift", "saliency-shift"], "pretrain_cifar10", 5),
}
# Arms, number of seeds, and settings that differ from the study with the same schedule or data.
FIVE = ["cutmix", "random-shift", "saliency-shift", "saliency-before-crop", "official"]
EPOCHS = {"train_cfg.max_epochs", "param_scheduler.milestones"}
PLAIN = {"data_preprocessor.padding", "data_preprocessor.flip_prob"}
FIRST_ANSWER = {
    "first_answer": (FIVE, 10, EPOCHS),
    "first_answer_plain": ([name for name in FIVE if name != "saliency-before-crop"], 10, EPOCHS | PLAIN),
    "first_answer_rivals": ([*FIVE, "resizemix", "guidedmixup"], 10, EPOCHS),
    "first_answer_200": (FIVE, 10, set()),
    "first_answer_transfer": (FIVE[:3], 10, EPOCHS),
    "smoke_first_answer": (FIVE, 2, set()),
}
MEAN, STD = [125.3, 123.0, 113.9], [63.0, 62.1, 66.7]
OURS = dict(alpha=1.0, mean=MEAN, std=STD, channel_order="rgb")
# Pixels of an image replaced on average where the patch is kept inside: sides int(32 * sqrt(1 - lam)), lam uniform,
# so that a side k has the probability (2 k + 1) / 1024; and where it is clipped around a uniform centre, on average
# (2 h - h * h / 32) a side with h = k // 2.
INSIDE = sum((2 * k + 1) * k**2 for k in range(32)) / 1024
CLIPPED = sum((2 * k + 1) * (2 * (k // 2) - (k // 2) ** 2 / 32) ** 2 for k in range(32)) / 1024


def differences(one, two, place: str = "") -> set[str]:
    """Dotted names under which two nested settings differ."""
    if isinstance(one, dict) and isinstance(two, dict):
        names = set(one) | set(two)
        return set().union(*(differences(one.get(n), two.get(n), f"{place}.{n}".lstrip(".")) for n in names))
    return set() if one == two else {place}


@functools.cache
def study_of(name: str) -> Study:
    return load_study(FOLDER / f"{name}.py")


def arm(study: str, name: str) -> dict:
    """The config of an arm's pretraining, with the arm's settings merged in."""
    return study_of(study).arms[name].read().to_dict()


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_has_its_arms_and_seeds(study):
    arms, pretraining, seeds = STUDIES[study]
    loaded = study_of(study)
    assert list(loaded.arms) == arms and loaded.pretraining_seeds == tuple(range(seeds))
    assert {each.path for each in loaded.arms.values()} == {FOLDER / f"{pretraining}.py"}
    assert loaded.metric == ("voc/mAP_11point" if "transfer" in study else "accuracy/top1")
    assert set(loaded.detectors) == ({"bccd", "voc"} if "transfer" in study else set())
    label = dict(smoke="Smoke run", smoke_transfer="Smoke run", short="short protocol").get(study)
    assert label is None or label in loaded.name


@pytest.mark.parametrize("study", STUDIES)
def test_arms_differ_in_the_mixing_alone(study):
    names, _, _ = STUDIES[study]
    baseline = arm(study, "baseline")
    assert "batch_augments" not in baseline["data_preprocessor"]
    for name in names[1:]:
        own = {
            "recursivemix": {"model.type", "model.omega"},
            "saliency-before-crop": {"data_preprocessor.saliency_before_crop"},
        }.get(name, set())
        assert differences(baseline, arm(study, name)) == {"data_preprocessor.batch_augments", *own}, name


def test_the_mixings_are_those_of_the_list():
    # Without `border` it is "shift", the default.
    shift, batch = dict(type="SaliencyMix", **OURS), dict(box_per="batch", lam_per="batch")
    clip = dict(shift, border="clip")
    expected = {
        "cutout": dict(type="Cutout", length=16),
        "cutmix": dict(type="CutMix", alpha=1.0),
        "random-shift": dict(shift, source="random"),
        "official": dict(type="OfficialSaliencyMix", alpha=1.0),
        "saliency-batch": dict(clip, **batch),
        "saliency-clip": clip,
        "saliency-shift": shift,
        "spectral-residual": dict(shift, saliency=dict(type="SpectralResidualSaliency")),
        "non-salient": dict(shift, source="non_salient", ties="random"),
        "random-ties": dict(shift, ties="random"),
        "shuffled-clip": dict(clip, type="ShuffledSaliencyMix"),
        "shuffled-shift": dict(shift, type="ShuffledSaliencyMix"),
        "resizemix": dict(type="PaperResizeMix", tau=[0.1, 0.8]),
        "guidedmixup": dict(type="GuidedMixup", mean=MEAN, std=STD, channel_order="rgb"),
        "saliencymix-saliency-label": dict(shift, label="saliency"),
        "recursivemix": dict(type="RecursiveMix", alpha=0.5),
        "saliency-before-crop": shift,
    }
    for study, (names, _, _) in STUDIES.items():
        for name in names[1:]:
            preprocessor = arm(study, name)["data_preprocessor"]
            length = dict(length=8) if (study, name) == ("cifar100", "cutout") else {}
            always = name in ("cutout", "recursivemix")
            mixing = dict(augments={**expected[name], **length}, probs=1.0 if always else 0.5)
            assert preprocessor["batch_augments"] == mixing, (study, name)
            assert (preprocessor["mean"], preprocessor["std"]) == (MEAN, STD)


def test_the_protocol_is_the_papers_on_the_fast_path(read):
    fast = read("configs/cifar10/fast/resnet18_baseline_cifar10.py").to_dict()
    own = {"custom_imports.imports", "train_cfg.val_interval"}
    own |= {f"default_hooks.checkpoint.{name}" for name in ("interval", "save_best")}
    ten = arm("cifar10", "baseline")
    assert differences(fast, ten) == own
    assert (ten["train_cfg"]["max_epochs"], ten["train_dataloader"]["batch_size"]) == (200, 128)
    assert ten["optim_wrapper"]["type"] == "Bfloat16OptimWrapper"
    assert [hook["type"] for hook in ten["custom_hooks"]] == ["ChannelsLastHook"]
    hundred = arm("cifar100", "baseline")
    places = {f"{part}_dataloader.dataset.data_root" for part in ("train", "val", "test")}
    classes = {"model.head.num_classes", "data_preprocessor.num_classes"}
    assert differences(ten, hundred) == {"data_root", *places, *classes}
    assert hundred["model"]["head"]["num_classes"] == hundred["data_preprocessor"]["num_classes"] == 100
    stem = arm("transfer", "baseline")
    assert {name.partition(".")[0] for name in differences(ten, stem)} == {"model"}
    assert stem["model"]["backbone"]["type"] == "ResNet"


def test_the_short_protocol_scales_the_schedule_alone():
    full, short = arm("cifar10", "baseline"), arm("short", "baseline")
    assert differences(full, short) == {"train_cfg.max_epochs", "param_scheduler.milestones"}
    assert short["train_cfg"]["max_epochs"] == 25
    scaled = [epoch * 25 / 200 for epoch in full["param_scheduler"]["milestones"]]
    assert short["param_scheduler"]["milestones"] == [int(epoch + 0.5) for epoch in scaled]


@pytest.mark.parametrize("study", FIRST_ANSWER)
def test_the_first_answer_has_the_arms_of_the_list_with_captured_steps_and_one_planned_pair(study):
    loaded, (arms, seeds, own) = study_of(study), FIRST_ANSWER[study]
    assert (list(loaded.arms), loaded.pretraining_seeds) == (arms, tuple(range(seeds)))
    assert loaded.planned == (("random-shift", "saliency-shift"),)
    captured = {"custom_hooks", "optim_wrapper.optimizer.fused"}
    full = dict(first_answer_transfer="transfer", smoke_first_answer="smoke").get(study, "cifar10")
    for name in arms:
        place = "data_preprocessor.batch_augments"
        before = {"data_preprocessor.saliency_before_crop"} if name == "saliency-before-crop" else set()
        mine = arm(study, name)
        assert differences(arm(full, "baseline"), mine) == captured | own | {place} | before, name
        assert (
            mine["data_preprocessor"]["batch_augments"] == arm("cifar10", name)["data_preprocessor"]["batch_augments"]
        )
        assert mine["custom_hooks"] == [dict(type="ChannelsLastHook"), dict(type="CapturedStepHook")]
        if own:
            assert mine["train_cfg"]["max_epochs"] == 25 and mine["param_scheduler"]["milestones"] == [8, 15, 20]
            assert mine["data_preprocessor"]["padding"] == (0 if own & PLAIN else 4)
    assert set(loaded.detectors) == ({"bccd"} if "transfer" in study else set())
    assert loaded.metric == ("voc/mAP_11point" if "transfer" in study else "accuracy/top1")


def test_the_rivals_continue_the_first_answer():
    one, more = study_of("first_answer"), study_of("first_answer_rivals")
    assert (one.name, one.metric, one.planned) == (more.name, more.metric, more.planned)
    assert all(one.arms[name] == more.arms[name] for name in one.arms)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--minutes"], "--minutes should be followed by its value"),
        (["--minutes", "eight", "work", "first_answer"], "--minutes should be a whole number, such as 8, got eight"),
        (["--hours", "1"], "an option should be --plan, --minutes or --results, got --hours"),
        (["--plan", "work"], "a work dir and studies are needed"),
    ],
)
def test_the_command_refuses_options_that_it_lacks(options, message):
    failed = subprocess.run(["bash", FOLDER / "run.sh", *options], capture_output=True, text=True)
    assert failed.returncode == 2 and failed.stderr.startswith(f"run.sh: {message}")


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_first_answer_continues_on_another_machine_from_the_exported_files(few_cifar10, tmp_path):
    """Seed 0 comes from an earlier piece; the other machine trains seed 1, and the reports of both are equal."""
    places = dict(SMIX_CIFAR10=str(few_cifar10), PYTHON=sys.executable, OMP_NUM_THREADS="1")
    options = dict(cwd=ROOT, env={**os.environ, **places}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def piece(work_dir: str, *more: str) -> str:
        command = ["bash", FOLDER / "run.sh", *more, "--results", tmp_path / "results", tmp_path / work_dir]
        done = subprocess.run([*command, "smoke_first_answer"], **options)
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout

    assert "10 runs" in piece("none", "--plan") and not (tmp_path / "none").exists()
    assert "export: 10 runs added" in piece("one")
    results = tmp_path / "results/smoke_first_answer"
    assert sum(path.stat().st_size for path in results.rglob("*")) < 2**20 and not list(results.rglob("*.pth"))
    reports = {name: (results / name).read_bytes() for name in ("report.md", "report.json", "report.csv")}
    assert b"with 2 pretraining seeds" in reports["report.md"] and b"10 of 10 results are used" in reports["report.md"]
    for folder in results.glob("*/seed1"):
        shutil.rmtree(folder)
    out = piece("other", "--minutes", "60")
    assert "import: 5 runs added" in out and "export: 5 runs added" in out and out.count(": done in ") == 5
    for name, expected in reports.items():
        assert (results / name).read_bytes() == (tmp_path / "other/smoke_first_answer" / name).read_bytes() == expected


def test_what_is_not_in_the_list_differs_in_the_padding_alone():
    full = arm("cifar10", "baseline")
    assert differences(full, arm("reflect", "baseline")) == {"data_preprocessor.type"}
    assert differences(full, arm("plain", "baseline")) == {"data_preprocessor.padding", "data_preprocessor.flip_prob"}
    assert arm("plain", "baseline")["data_preprocessor"]["padding"] == 0
    for study in ("reflect", "plain"):
        assert study_of(study).name.startswith("Not in the list")


@pytest.fixture(scope="module")
def areas(few_cifar10):
    """What every arm replaces of real images, in 60 batches of the full study."""
    from smix_mm.analysis.replaced_area import measure_area

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMIX_CIFAR10", str(few_cifar10))
        yield measure_area(FOLDER / "cifar10.py", batches=60)


def test_patches_kept_inside_replace_the_same_area_as_arm_8_wherever_they_are(areas):
    eighth = areas["saliency-shift"]
    for name in (
        "random-shift",
        "spectral-residual",
        "non-salient",
        "random-ties",
        "shuffled-shift",
        "saliency-before-crop",
    ):
        assert areas[name] == eighth, name
    # One in a batch is its own partner on average; batches are of 128 and 112 here.
    expected = INSIDE / 1024 * (1 - 2 / 240)
    assert abs(eighth["area"] - expected) < 3 * eighth["area_error"] < 0.02


def test_the_control_of_clipped_patches_has_their_area_and_a_random_place_does_not(areas):
    clip, control = areas["saliency-clip"], areas["shuffled-clip"]
    error = (clip["area_error"] ** 2 + control["area_error"] ** 2) ** 0.5
    assert abs(clip["area"] - control["area"]) < 3 * error < 0.02
    assert abs(clip["area_sd"] - control["area_sd"]) < 0.02
    # Peaks lie near the borders, where more is clipped: CutMix' place is no control of these arms' area.
    random = CLIPPED / 1024 * (1 - 2 / 240)
    assert random - clip["area"] > 10 * clip["area_error"]


def test_with_one_box_a_batch_areas_are_those_of_the_same_boxes_for_each(areas):
    few = 4 * areas["cutmix"]["area_error"]
    assert abs(areas["cutmix"]["area"] - CLIPPED / 1024) < few < 0.15
    both = (areas["saliency-batch"]["area_error"] ** 2 + areas["saliency-clip"]["area_error"] ** 2) ** 0.5
    assert abs(areas["saliency-batch"]["area"] - areas["saliency-clip"]["area"]) < 3 * both < 0.12


def test_the_labels_weight_is_the_area_except_for_cutout(areas):
    for name in CUT[2:]:
        assert areas[name]["weight"] == pytest.approx(areas[name]["area"], abs=1e-9), name
        assert areas[name]["probability"] == 0.5
    assert areas["cutout"]["weight"] == 0 and areas["cutout"]["probability"] == 1.0
    # A hole of 16 around a uniform place, cut off at the borders.
    side = sum(min(place + 8, 32) - max(place - 8, 0) for place in range(32)) / 32
    assert abs(areas["cutout"]["area"] - (side / 32) ** 2) < 3 * areas["cutout"]["area_error"] < 0.01


def test_the_command_without_arguments_prints_its_usage():
    failed = subprocess.run(["bash", FOLDER / "run.sh"], capture_output=True, text=True)
    assert failed.returncode == 2 and failed.stderr.startswith("run.sh: a work dir and studies are needed")


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_study_runs_at_smoke_size_by_one_command_that_is_interrupted_and_repeated(few_cifar10, smix_data, tmp_path):
    """One command, ended by a timeout in the middle, and given again."""
    command = ["bash", FOLDER / "run.sh", tmp_path, "smoke", "smoke_transfer"]
    places = dict(SMIX_CIFAR10=few_cifar10, SMIX_BCCD=smix_data / "BCCD", SMIX_VOC=smix_data / "VOCdevkit")
    variables = dict(os.environ, PYTHON=sys.executable, OMP_NUM_THREADS="1", **{k: str(v) for k, v in places.items()})
    options = dict(cwd=ROOT, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    piece = subprocess.run(["timeout", "20", *command], **options)
    assert piece.returncode == 124, piece.stdout[-3000:]
    assert not (tmp_path / "smoke_transfer").exists()
    whole = subprocess.run(command, **options)
    assert whole.returncode == 0, whole.stdout[-4000:]
    for study, arms, runs in (("smoke", ALL, 18), ("smoke_transfer", TRANSFER, 12)):
        folder = tmp_path / study
        text = (folder / "report.md").read_text()
        assert text.startswith("# Smoke run, no result")
        assert all(f"| {name} |" in text for name in arms)
        assert f"{runs} of {runs} results are used" in text
        assert text.rstrip().endswith("None."), text[-500:]
        assert json.loads((folder / "report.json").read_text())["name"].startswith("Smoke run")
        assert (folder / "mixed.png").read_bytes().startswith(b"\x89PNG")
    proofs = [
        json.loads(path.read_text())["load_proof"] for path in tmp_path.glob("smoke_transfer/*/*/*/*/result.json")
    ]
    assert len(proofs) == 8 and {proof["loaded"] for proof in proofs} == {"whole"}
    hashes = {torch.load(path, weights_only=True)["meta"]["hash"] for path in tmp_path.glob("smoke/*/*/*/backbone.pth")}
    assert len(hashes) == len(ALL), "no two arms trained alike"
