#!/usr/bin/env bash
# Test on a Slurm cluster.
#   tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of test.py]
#   GPUS=8 tools/slurm_test.sh gpu smix configs/cifar10/resnet18_saliencymix_cifar10.py work_dirs/smix/epoch_200.pth
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS set the requested resources.
set -euo pipefail
if [ $# -lt 4 ]; then
    echo "usage: $(basename "$0") PARTITION JOB_NAME CONFIG CHECKPOINT [options of test.py]; got $# arguments" >&2
    exit 2
fi
PARTITION=$1
JOB_NAME=$2
CONFIG=$3
GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-$((GPUS < 8 ? GPUS : 8))}
TOOLS=$(cd "$(dirname "$0")" && pwd)

# SRUN_ARGS may contain several words.
# shellcheck disable=SC2086
PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}" exec srun -p "$PARTITION" \
    --job-name="$JOB_NAME" \
    --gres=gpu:"$GPUS_PER_NODE" \
    --ntasks="$GPUS" \
    --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$TOOLS"/test.py "$CONFIG" "$4" --launcher slurm "${@:5}"
