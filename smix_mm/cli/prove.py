"""Prove that a detector's config loads a published backbone whole, without training.

examples:
  python tools/prove.py configs/voc/faster-rcnn_r50_fpn_1x_voc0712.py backbone.pth
  SMIX_BACKBONE=backbone.pth python tools/prove.py configs/bccd/faster-rcnn_r18_fpn_bccd.py
"""

import argparse

from ..utils.command_line import add_cfg_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="config of a detector")
    parser.add_argument("checkpoint", nargs="?", help="published backbone (default: the one that the config names)")
    add_cfg_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..engine.launch import errors_of_config
    from ..engine.prove import prove

    with errors_of_config():
        proof = prove(**vars(options))
    print(f"Every backbone tensor of the model equals that of {proof['checkpoint']} ({proof['loaded']}).")
    for names, meaning in (("new", "only in the model"), ("unused", "only in the checkpoint")):
        if proof.get(names):
            print(f"{meaning}: {', '.join(proof[names])}")
    if "not_compared" in proof:
        print(f"not compared, because the checkpoint does not record them: {', '.join(proof['not_compared'])}")
