#!/usr/bin/env bash
# Installs OpenMMLab's own releases of 2023 and 2024 beside this project and runs what tests can run there:
#   bash tests/other_projects/upstream_2024.sh [FOLDER [OPTION OF UV]...]
# FOLDER is where the environment goes (work_dirs/upstream_2024); 2.5 GB are downloaded the first time, and with
# --offline only uv's cache is asked. mmcv comes as mmcv-lite, the wheel without compiled operators, because mmcv
# itself is on the registry as source only; so there is no detection and no segmentation.
set -euo pipefail
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
folder=$(realpath -m -- "${1:-work_dirs/upstream_2024}")
shift || true
uv=$(command -v "$PWD/.venv/bin/uv" || command -v uv) || { echo 'upstream_2024.sh: wanted uv: make setup' >&2; exit 2; }

# From the root, because uv would take this project's own pins for these.
into=(env -C / "$uv" pip install --quiet --python "$folder/bin/python" "$@")
env -C / "$uv" venv --quiet --clear --python 3.11 "$folder"
# As in pyproject.toml: one OpenCV, the one with cv2.saliency.
printf '%s\n' "opencv-python ; sys_platform == 'never'" "opencv-python-headless ; sys_platform == 'never'" \
  >"$folder/one-opencv.txt"
"${into[@]}" --override "$folder/one-opencv.txt" torch==2.1.2 torchvision==0.16.2 numpy==1.26.4 mmengine==0.10.7 \
  mmcv-lite==2.1.0 mmpretrain==1.2.0 opencv-contrib-python-headless==4.11.0.86 numba==0.61.2 scipy==1.15.3 \
  setuptools==80.9.0 pytest pytest-timeout hypothesis
"${into[@]}" --no-deps mmaction2==1.2.0

# Left out: what torch 2.1 lacks (uint16, torch.export.Dim, its later torch.compile) and Triton 3's kernels; and
# what needs a detector.
export PYTHONPATH=$PWD PYTHONWARNINGS=ignore
"$folder/bin/python" -m pytest -q -p no:cacheprovider --durations=0 --durations-min=60 \
  tests/mixing tests/batch_augments tests/saliency tests/models tests/transforms tests/batch_augments/test_video.py \
  tests/batch_augments/test_official_map.py tests/other_projects/test_mmpretrain.py tests/other_projects/test_mmaction2.py \
  --ignore tests/mixing/test_fuzz.py --ignore tests/saliency/fine_grained/test_triton_kernel.py \
  -k 'not exported_program and not traces_into_one_graph'
