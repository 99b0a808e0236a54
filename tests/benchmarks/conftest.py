"""A record of `make gpu` that nothing measured: every figure is made up."""

import pytest

from smix_mm.benchmarks.gpu_run import CIFAR_STEPS, IMAGENET_STEP


def steps(configs, amp, first):
    arms = ("no mixing", "CutMix", "SaliencyMix", "OfficialSaliencyMix")
    return [
        dict(
            config=config,
            arm=arm,
            amp=amp,
            **(dict(batch=256, height=224, width=224) if amp else dict(batch=128, height=32, width=32)),
            device="cuda",
            quartiles_ms=[first + 10 * number + place] * 2,
            # Without OpenCV's contrib build the released code's is not measured.
            median_ms=None if arm == "OfficialSaliencyMix" else first + 10 * number + place,
            to_cutmix=None if arm == "OfficialSaliencyMix" else 1 + (place - 1) / 8,
        )
        for number, config in enumerate(configs)
        for place, arm in enumerate(arms)
    ]


@pytest.fixture
def made_up_record():
    """A function that makes the record of a card."""

    def make(card="NVIDIA Example 80GB"):
        tests = dict(kind="tests", status="passed", seconds=20.0, why=None, failures=[])
        tests.update(tests=dict(passed=63, failed=0, skipped=1), skips=[dict(test="t::one", why="no contrib build")])
        shapes = [("map", 256, 224, 1), ("peak", 256, 224, 2), ("peak", 128, 32, 3)]
        maps = [
            dict(what=what, batch=batch, height=side, width=side, device="cuda", captured_ms=base + 0.1,
                 called_ms=base + 0.2, torch_ms=base + 0.3, floor_ms=base + 0.4)
            for what, batch, side, base in shapes
        ]  # fmt: skip
        fast = [
            dict(
                config=f"configs/cifar10/fast/resnet18_{arm}_cifar10.py",
                device="cuda",
                batch=128,
                median=1000.0 * number,
                quartiles=[1000.0 * number] * 2,
            )
            for number, arm in enumerate(("baseline", "cutmix", "saliencymix", "saliencymix-captured"), 1)
        ]
        rows = {
            "saliency": maps,
            "imagenet-step": steps([IMAGENET_STEP], True, 100.0),
            "fast-path": fast,
            "cifar-step": steps(CIFAR_STEPS, False, 36.0),
        }
        benchmarks = {
            name: dict(kind="benchmark", status="passed", seconds=30.0, why=None, rows=each)
            for name, each in rows.items()
        }
        return dict(
            machine=dict(card=card, driver="1.2", cuda="13.0", torch="2.11.0", triton="3.6.0", python="3.12.3"),
            date="2026-11-28T03:41:00Z",
            commit="0123456789abcdef",
            uncommitted_changes=False,
            all_passed=True,
            parts={"saliency-tests": tests, **benchmarks},
        )

    return make
