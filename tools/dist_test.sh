#!/usr/bin/env bash
# Test with several processes: one per GPU, or the same number on the CPU if there is no GPU.
#   tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of test.py]
#   tools/dist_test.sh configs/cifar10/resnet18_saliencymix_cifar10.py work_dirs/resnet18_saliencymix/epoch_200.pth 8
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT on each.
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: $(basename "$0") CONFIG CHECKPOINT GPUS [options of test.py]; got $# arguments" >&2
    exit 2
fi
CONFIG=$1
CHECKPOINT=$2
GPUS=$3
TOOLS=$(cd "$(dirname "$0")" && pwd)

PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node-rank="${NODE_RANK:-0}" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" \
    --master-port="${PORT:-29500}" \
    --nproc-per-node="$GPUS" \
    "$TOOLS"/test.py "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
