"""Draws docs/figures/network_saliency.png: four photographs, their fine-grained maps and those of U²-Net-p.

    python docs/figures/network_saliency.py u2netp.onnx

docs/saliency_networks.md has the commands that get the network's file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from smix_mm.saliency import FineGrainedSaliency, NetworkSaliency, SaliencyDetector
from smix_mm.saliency.base import map_extreme
from smix_mm.visualization.image_files import centre_crop, list_images, read_image
from smix_mm.visualization.sheet import MOST, Example, Panel, save_sheet, to_mark

NAMES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
SIDE = 224


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="u2netp.onnx")
    network = NetworkSaliency(parser.parse_args().network, input_size=(320, 320), divide_by_max=True)
    detectors: dict[str, SaliencyDetector] = {"fine-grained": FineGrainedSaliency(), "U²-Net-p": network}
    panels = []
    for name in NAMES:
        image = centre_crop(read_image(list_images([f"skimage:{name}"])[0]), SIDE)
        panels.append(Panel(name.partition(".")[0], image))
        for caption, detector in detectors.items():
            saliency_map = detector(torch.from_numpy(image).permute(2, 0, 1)[None])
            peak = map_extreme(saliency_map, True, None)[0][0]
            panels.append(Panel(caption, saliency_map[0].numpy(), marks=(to_mark(peak, MOST),)))
    title = "Image, fine-grained map and map of U²-Net-p; + marks the peak"
    save_sheet([Example(title, tuple(panels), 6)], Path(__file__).with_suffix(".png"), small=True)


if __name__ == "__main__":
    main()
