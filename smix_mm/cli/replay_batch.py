"""Run a batch that stopped a training again, and print where its values become non-finite.

examples:
  python tools/replay_batch.py work_dirs/resnet18_saliencymix_cifar10/nonfinite/iter_38_rank0.pt
  python tools/replay_batch.py work_dirs/faster-rcnn/nonfinite/iter_7_rank1.pt --config fixed.py
The config is run as code, as every config is: replay only files from a source that you trust.
"""

import argparse

ERRORS = {OSError: 2, ValueError: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("path", metavar="file", help="nonfinite/iter_N_rankR.pt in the work dir of the training")
    add("--config", help="default: the config in the work dir of the training")
    add("--checkpoint", help="default: the weights saved at the stop, if they were not the cause")
    add("--device", help="such as cpu or cuda (default: cuda if there is a GPU)")


def run(options: argparse.Namespace) -> int:
    from ..engine.nonfinite.replay import replay_batch

    replay = replay_batch(**vars(options))
    print(f"iteration {replay.iteration}, rank {replay.rank}, {len(replay.files)} images")
    print(f"config {replay.config}, weights {replay.checkpoint}")
    for name in sorted({*replay.saved, *replay.losses}):
        then, now = (losses.get(name, "missing") for losses in (replay.saved, replay.losses))
        print(f"{name:>24}  {now}" + ("" if str(then) == str(now) else f"  (when it was saved: {then})"))
    for finding in replay.findings:
        print(f"not finite: {finding}")
    if not replay.findings:
        print("everything is finite")
    print("the same as when it was saved" if replay.same else "not the same as when it was saved")
    return 0 if replay.same else 1
