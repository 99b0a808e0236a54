"""Real annotations of which one has a box without area, and a detector that takes it as it is."""

import math
import re
import sys
from pathlib import Path

import pytest

from smix_mm.engine.nonfinite.replay import replay_batch

ROOT = Path(__file__).parents[3]

CONFIG = """
_base_ = ["{root}/configs/_base_/models/small-faster-rcnn_r18_fpn.py", "{root}/configs/_base_/datasets/bccd.py",
          "mmdet::_base_/default_runtime.py"]
custom_imports = dict(imports=["smix_mm"], allow_failed_imports=False)
model = dict(backbone=dict(init_cfg=None), roi_head=dict(bbox_head=dict(num_classes=3)))
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(ann_file="{split}", filter_cfg=None, pipeline={{{{_base_.train_pipeline}}}}),
)
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=1)
val_dataloader = val_evaluator = val_cfg = test_dataloader = test_evaluator = test_cfg = None
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.001))
custom_hooks = [dict(type="NonFiniteHook")]
default_hooks = dict(checkpoint=dict(interval=-1))
randomness = dict(seed=0)
"""


# tools/train.py would fix the boxes; this is what any other train script of OpenMMLab does.
SCRIPT = """
import sys
from mmengine.config import Config
from mmengine.runner import Runner
cfg = Config.fromfile(sys.argv[1])
cfg.work_dir = sys.argv[2]
Runner.from_cfg(cfg).train()
"""


def without_area(annotation: Path) -> bool:
    sides = ("xmin", "xmax", "ymin", "ymax")
    corners = {side: list(map(int, re.findall(rf"<{side}>(\d+)<", annotation.read_text()))) for side in sides}
    return any(a >= b for a, b in [*zip(corners["xmin"], corners["xmax"]), *zip(corners["ymin"], corners["ymax"])])


@pytest.mark.long
def test_a_box_without_area_is_named_with_its_file_and_found_again_in_the_replay(smix_data, run_tool, tmp_path):
    images = sorted((smix_data / "BCCD" / "Annotations").glob("*.xml"))
    bad = next(path for path in images if without_area(path))
    good = [path for path in images if not without_area(path)][:5]
    (tmp_path / "split.txt").write_text("\n".join(path.stem for path in [bad, *good]))
    config = tmp_path / "detector.py"
    config.write_text(CONFIG.format(root=ROOT, split=tmp_path / "split.txt"))
    environment = dict(SMIX_BCCD=smix_data / "BCCD", OMP_NUM_THREADS=1)
    finished = run_tool(sys.executable, "-c", SCRIPT, config, tmp_path / "run", check=False, **environment)
    assert finished.returncode == 1, finished.stdout[-3000:]
    message = finished.stdout.rstrip().splitlines()[-1]
    assert re.search(
        r".*NonFiniteError: iteration \d has no finite loss: loss_bbox is (nan|inf), loss is (nan|inf) for ", message
    )
    assert f"(check boxes without area in {smix_data}/BCCD/JPEGImages/{bad.stem}.jpg)" in message
    (file,) = (tmp_path / "run" / "nonfinite").glob("*.pt")
    replay = replay_batch(file)
    assert (
        replay.same and math.isfinite(replay.losses["loss_rpn_cls"]) and not math.isfinite(replay.losses["loss_bbox"])
    )
    assert replay.findings[0].startswith("boxes without area in ")
    assert replay.findings[-1].startswith("the output of roi_head.bbox_head.loss_bbox ")
