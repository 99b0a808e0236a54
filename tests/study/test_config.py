"""Reading and checking the config of a study."""

from pathlib import Path

import pytest

from smix_mm.study.commands import make_worker, run_study
from smix_mm.study.config import RunConfig, load_study
from smix_mm.utils.config import read_config
from smix_mm.utils.errors import UsageError
from smix_mm.utils.lock import hold

DEMO = Path(__file__).parents[2] / "configs/demo"
WHOLE = f"""
arms = dict(baseline="{DEMO}/pretrain_baseline.py")
detectors = dict(digits="{DEMO}/detector.py")
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "study.py"
    path.write_text(text)
    return path


MISTAKES = [
    ("metric = 'coco/bbox_mAP'", "metric should be .*voc/mAP_11point, .*got 'coco/bbox_mAP'"),
    ("metric = 'accuracy/top1'", "metric should be .*got 'accuracy/top1'"),
    ("metric = 3", "metric should be a str, got 3"),
    ("paper = dict(baseline='0.7')", "paper should have numbers, got {'baseline': '0.7'}"),
    ("seconds = dict(digits=None)", "seconds should have numbers, got {'digits': None}"),
    ("seconds = 5", "seconds should be a dict, got 5"),
    ("detectors = ['detector.py']", "detectors should be a dict, got "),
    ("detectors = None", "detectors should be a dict, got None"),
    ("cluster = None", "cluster should be a dict, got None"),
    ("cluster = dict(cpus='two')", "cpus in cluster should be a number, got 'two'"),
    (
        "cluster = dict(setup='module load cuda')",
        "setup in cluster should be a list of strings, got 'module load cuda'",
    ),
    ("sheet = ['x']", r"sheet should be an arm with a pretraining, got \['x'\]"),
    ("planned = [(['baseline'], ['baseline'])]", "planned should be different pairs of arms"),
    ("detectors = dict(a=dict(config='bare.py', cfg_options=dict(custom_hooks=None)))", "bare.py has no LoadProofHook"),
    ("prepare = dict(call='smix_mm.datasets.demo:make_digit_scenes')", "prepare should be dict.call='package.module"),
]


@pytest.mark.parametrize(
    "text, message",
    [
        ("detectors = dict(a='b.py')", r"study.py: arms should be dict\(NAME=CONFIG, ...\), got None\."),
        (WHOLE + "arms = dict(a='none.py')", "none.py does not exist"),
        (WHOLE + "detectors = dict(a='bare.py')", "bare.py has no LoadProofHook"),
        (WHOLE + "sheet = 'cutmix'", "sheet should be an arm with a pretraining, got 'cutmix'"),
        (WHOLE + "arms = {'a/b': 'bare.py'}", "name of an arm should be of letters, .*got 'a/b'"),
        (WHOLE + "detectors = {'voc/07': 'bare.py'}", "name of a detector should be of letters, .*got 'voc/07'"),
        (WHOLE + "detectors = {1: 'bare.py'}", "name of a detector should be of letters, .*got 1"),
        (WHOLE + "detectors = dict(pretraining='bare.py')", "name of a detector should not be 'pretraining'"),
        (WHOLE + "detectors = {'a.stale-1': 'bare.py'}", "name of a detector should be of letters"),
        (WHOLE + "arms = {'..': 'bare.py'}", "name of an arm should be of letters"),
        (
            WHOLE + "arms = dict(a=dict(weights='x.pth'))",
            r"arm a should be the config of a pretraining, dict\(config=FILE",
        ),
        (WHOLE + "arms = dict(a=3)", r"a should be the path of a config or dict\(config=FILE, .*got 3\."),
        (WHOLE + "arms = dict(a=dict(config='bare.py', options=3))", "arm a should be the path of a config or dict"),
        (
            WHOLE + "arms = dict(a=dict(config='bare.py', cfg_options=[1]))",
            "arm a should be the path of a config or dict",
        ),
        (WHOLE + "arms = dict(a=dict(config='none.py', cfg_options={'b': 1}))", "none.py does not exist"),
        (
            WHOLE + "arms = dict(a=dict(config='bare.py', cfg_options={'optimizer.lr': 1}))",
            "arm a: config .*bare.py has no setting optimizer, which the option optimizer.lr changes",
        ),
        (
            WHOLE + "arms = dict(a=dict(config='bare.py', cfg_options={'many.5.a': 1}))",
            "arm a: config .*bare.py cannot be read: ",
        ),
        (WHOLE + "arms = dict(a=dict(config='bare.py', cfg_options={'many.0': 1}))", "arm a: config .*cannot be read"),
        (
            WHOLE + "detectors = dict(a=dict(config='bare.py', cfg_options={'model.depth': 3}))",
            "bare.py has no LoadProofHook",
        ),
        (WHOLE + "arms = dict(a=dict(checkpoint='x.pth'))", "x.pth does not exist"),
        (WHOLE + "pretraining_seeds = [0, 0]", r"pretraining_seeds should be different integers .*got \[0, 0\]"),
        (WHOLE + "finetuning_seeds = []", r"finetuning_seeds should be different integers .*got \[\]"),
        (WHOLE + "planned = [('baseline', 'cutmix')]", r"planned should be different pairs of arms, .*cutmix"),
        (WHOLE + "planned = 'baseline'", "planned should be different pairs of arms, .*got 'baseline'"),
        (WHOLE + "planned = [1]", r"planned should be different pairs of arms, .*got \[1\]"),
        (
            WHOLE + f"arms = dict(a='{DEMO}/detector.py')",
            "detector.py in arms should be the config of a classif",
        ),
        (
            WHOLE + f"detectors = dict(a='{DEMO}/pretrain_baseline.py')",
            "pretrain_baseline.py in detectors should be the config of a detector, got default_scope='mmpretrain'",
        ),
        (WHOLE + "seed = 1", r"its settings should be of arms, cluster, .*got seed\."),
        (WHOLE + "cluster = dict(queue='gpu')", r"the keys of cluster should be of cpus, .*got queue\."),
        *((WHOLE + text, message) for text, message in MISTAKES),
        ("arms = dict(a=dict(checkpoint='timm://resnet50'))", "it has arms without pretraining, so it needs detectors"),
    ],
)
def test_an_invalid_study_is_rejected_when_it_is_read(tmp_path, text, message):
    (tmp_path / "bare.py").write_text("model = dict()\nmany = [dict(a=1), dict(a=2)]\n")
    with pytest.raises(UsageError, match=message):
        load_study(write(tmp_path, text))


def test_an_arm_is_a_config_a_checkpoint_file_or_a_checkpoint_of_a_library(tmp_path):
    (tmp_path / "mine.pth").write_bytes(b"")
    arms = f"""
arms = dict(
    baseline="{DEMO}/pretrain_baseline.py",
    mine=dict(checkpoint="mine.pth"),
    theirs=dict(checkpoint="torchvision://resnet50/IMAGENET1K_V1"),
)
pretraining_seeds = [3, 4]
"""
    study = load_study(write(tmp_path, WHOLE + arms))
    assert study.arms == {
        "baseline": RunConfig(DEMO / "pretrain_baseline.py"),
        "mine": str(tmp_path / "mine.pth"),
        "theirs": "torchvision://resnet50/IMAGENET1K_V1",
    }
    assert (study.pretraining_seeds, study.finetuning_seeds) == ((3, 4), (0,))


OPTIONS = {
    "model.depth": 101,
    "model": dict(
        lr=1e-5,
        name="deep",
        mean=[125.3, -1, "x"],
        size=(3,),
        empty=[],
        nested=[(1, 2), [True, None]],
        names=["two words", dict(a="1,2")],
    ),
    "model.head._delete_": True,
    "model.head.type": "New",
    "many.1.a": 3.0,
}


def test_settings_are_merged_into_the_config_of_an_arm_and_of_a_detector(tmp_path):
    (tmp_path / "bare.py").write_text(
        "model = dict(depth=18, width=64, head=dict(type='Old', classes=3))\nmany = [dict(a=1), dict(a=2)]\n"
        "custom_hooks = [dict(type='mmengine.LoadProofHook')]\n"
    )
    text = f"_options = {OPTIONS}\n"
    text += "arms = dict(a='bare.py', b=dict(config='bare.py', cfg_options=_options), c=dict(config='bare.py'))\n"
    text += f"detectors = dict(d='bare.py', e=dict(config='bare.py', cfg_options={OPTIONS}))\n"
    study = load_study(write(tmp_path, text))
    plain, changed, same = study.arms.values()
    assert changed.path == tmp_path / "bare.py" and changed == study.detectors["e"]
    assert changed.read().model.to_dict() == dict(
        depth=101, width=64, lr=1e-5, name="deep", mean=[125.3, -1, "x"], size=(3,), empty=[],
        nested=[(1, 2), [True, None]], names=["two words", dict(a="1,2")], head=dict(type="New"),
    )  # fmt: skip
    assert changed.read().many == [dict(a=1), dict(a=3.0)]
    assert plain == same == study.detectors["d"] == RunConfig(tmp_path / "bare.py")
    assert plain.text == read_config(tmp_path / "bare.py").pretty_text != changed.text


def test_pairs_can_be_planned(tmp_path):
    (tmp_path / "mine.pth").write_bytes(b"")
    text = WHOLE + "arms['mine'] = dict(checkpoint='mine.pth')\nplanned = [('baseline', 'mine')]"
    # A study with a base may have more figures than arms.
    study = load_study(write(tmp_path, text + "\nmetric = 'coco/AP/3'\nseconds = dict(voc=9)\npaper = dict(cutmix=1)"))
    assert study.planned == (("baseline", "mine"),) and study.metric == "coco/AP/3"


@pytest.mark.parametrize("call", ["json:none", "none.at:all", "json."])
def test_an_unknown_function_that_prepares_is_named(tmp_path, call):
    study = load_study(write(tmp_path, WHOLE + f"prepare = dict(call={call!r}, variable='A')"))
    with pytest.raises(UsageError, match=f"{call} in prepare cannot be imported"):
        make_worker(study, tmp_path)


def test_processes_are_counted_from_one(tmp_path):
    with pytest.raises(UsageError, match="processes should be at least 1, got 0"):
        run_study(write(tmp_path, WHOLE), tmp_path / "work", processes=0, dry=True)


def test_a_missing_study_is_named(tmp_path):
    with pytest.raises(UsageError, match="none.py does not exist"):
        load_study(tmp_path / "none.py")


def test_two_studies_cannot_run_in_one_folder(tmp_path):
    with hold(tmp_path / "work/.lock", "busy"), pytest.raises(UsageError, match="another process runs a study in"):
        run_study(write(tmp_path, WHOLE), tmp_path / "work")
