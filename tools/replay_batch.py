"""Command line of `smix_mm.engine.nonfinite.replay.replay_batch`."""

import argparse
import sys

from smix_mm.utils.command_line import run_command

EXAMPLES = """examples:
  python tools/replay_batch.py work_dirs/resnet18_saliencymix/nonfinite/iter_38_rank0.pt
  python tools/replay_batch.py work_dirs/faster-rcnn/nonfinite/iter_7_rank1.pt --config fixed.py
The config is run as code, as every config is: replay only what comes from where you trust it.
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Run a batch that stopped a training again, and say where its values stop being finite.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", help="nonfinite/iter_N_rankR.pt in the work dir of the training")
    parser.add_argument("--config", help="default: the config that training left in its work dir")
    parser.add_argument("--checkpoint", help="default: the weights saved at the stop")
    parser.add_argument("--device", help="such as cpu or cuda (default: cuda where there is a GPU)")
    options = parser.parse_args()

    from smix_mm.engine.nonfinite.replay import replay_batch

    try:
        replay = replay_batch(options.file, config=options.config, checkpoint=options.checkpoint, device=options.device)
    except (OSError, ValueError) as error:
        print(f"replay_batch.py: {error}", file=sys.stderr)
        return 2
    print(f"iteration {replay.iteration}, rank {replay.rank}, {len(replay.files)} images")
    print(f"config {replay.config}, weights {replay.checkpoint}")
    for name in sorted({*replay.saved, *replay.losses}):
        then, now = (losses.get(name, "not there") for losses in (replay.saved, replay.losses))
        print(f"{name:>24}  {now}" + ("" if str(then) == str(now) else f"  (when it was saved: {then})"))
    for finding in replay.findings:
        print(f"not finite: {finding}")
    if not replay.findings:
        print("everything is finite")
    print("the same as when it was saved" if replay.same else "not the same as when it was saved")
    return 0 if replay.same else 1


if __name__ == "__main__":
    sys.exit(run_command(main))
