"""The parts of ``make gpu``: every test that needs a GPU, then the benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

TOTAL_SECONDS = 410.0
"""Limit of all parts together. Their own limits add up to more; if one part hangs, there is time for the rest."""

# Without the options of pyproject.toml, which need plugins that the machine may lack.
PYTEST = (
    *("-m", "pytest", "-v", "--durations=5", "-p", "no:cacheprovider"),
    *("-o", "addopts=", "--import-mode=importlib", "--strict-markers"),
    *("--junit-xml={out}", "-m", "gpu"),
)

TESTS, BENCHMARK = "tests", "benchmark"


@dataclass(frozen=True)
class Part:
    """A command with a time limit, run in its own process."""

    name: str  # also of its files
    kind: str  # "tests", which writes JUnit's XML, or "benchmark", which writes JSON with "rows"
    arguments: tuple[str, ...]  # of this Python; {out} is replaced by the file to write
    seconds: float  # time limit, an estimate: never run on a GPU


def tests(name: str, seconds: float, *paths: str) -> Part:
    return Part(name, TESTS, (*PYTEST, *paths), seconds)


def benchmark(name: str, seconds: float, *arguments: str) -> Part:
    return Part(name, BENCHMARK, (*arguments, "--out", "{out}"), seconds)


CIFAR_STEPS = tuple(f"configs/cifar10/{net}_baseline_cifar10.py" for net in ("resnet18", "resnet50", "wrn-28-10"))
IMAGENET_STEP = "configs/imagenet/resnet50_baseline_in1k.py"

PARTS = (
    tests("saliency-tests", 75, "tests/saliency/test_gpu.py"),
    tests("mixing-tests", 110, "tests/mixing/test_gpu.py", "tests/batch_augments/test_gpu.py"),
    tests("fast-path-tests", 75, "tests/datasets/test_gpu.py"),
    tests("training-tests", 180, "tests/engine/test_gpu.py"),
    tests("detection-tests", 100, "tests/end_to_end/test_gpu.py", "tests/utils/test_torchvision_operators.py"),
    benchmark("saliency", 45, "tools/benchmark_saliency.py", "--device", "cuda"),
    benchmark(
        "imagenet-step", 70, "tools/benchmark_training.py", IMAGENET_STEP, "--batch", "256", "--size", "224",
        "--device", "cuda", "--amp", "--iterations", "5", "--rounds", "6",
    ),
    benchmark("fast-path", 60, "tools/benchmark_cifar.py", "--made-up", "--rounds", "3"),
    benchmark(
        "cifar-step", 60, "tools/benchmark_training.py", *CIFAR_STEPS, "--batch", "128", "--size", "32",
        "--device", "cuda", "--iterations", "5", "--rounds", "5",
    ),
)  # fmt: skip
