#!/usr/bin/env bash
# Builds the package and uses it from torch and numpy alone, in a new environment of the given Python:
#   bash tests/package/python_release.sh python3.13 [torch==2.4.1 ...]
# Further arguments are requirements in place of the newest torch. The tests run it on the Python at hand; for others
# it is run by hand, with the results in docs/compatibility.md.
set -euo pipefail
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
python=$1
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check . "${@:-torch}"
cd "$folder"
env/bin/python - <<'PYTHON'
import platform

import torch

import smix_mm

torch.manual_seed(0)
images, labels = torch.rand(8, 3, 32, 32), torch.arange(8)
mixed, targets = smix_mm.saliency_mix(images, labels, num_classes=8)
assert mixed.shape == images.shape and not torch.equal(mixed, images)
assert targets.shape == (8, 8) and torch.allclose(targets.sum(1), torch.ones(8))
assert smix_mm.SaliencyMixTransform(8)(images, labels)[1].shape == (8, 8)
for name in ("SpectralResidualSaliency", "FrequencyTunedSaliency"):
    smix_mm.saliency_mix(images, labels, num_classes=8, detector=getattr(smix_mm.saliency, name)())
print(f"works: Python {platform.python_version()}, torch {torch.__version__}")
PYTHON
env/bin/smix-mm --version
