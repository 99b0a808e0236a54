#!/usr/bin/env bash
# Runs studies of this folder one after the other, each in its own folder; run again, it continues.
#   bash configs/studies/does_saliency_matter/run.sh WORK_DIR STUDY...
set -euo pipefail
[ $# -ge 2 ] || { echo "run.sh: a work dir and studies are needed, such as work_dirs/does_saliency_matter cifar10" >&2; exit 2; }
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
work_dir=$1
shift
for study in "$@"; do
  "${PYTHON:-python}" "$here/../../../tools/study.py" run "$here/$study.py" --work-dir "$work_dir/$study"
done
