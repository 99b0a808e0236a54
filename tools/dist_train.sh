#!/usr/bin/env bash
# Train with several processes: one a GPU, or, where there is none, that many on the CPU.
#   tools/dist_train.sh CONFIG GPUS [options of train.py]
#   tools/dist_train.sh configs/cifar10/resnet18_saliencymix.py 8 --amp
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT on each.
# MAX_RESTARTS=3: when a process dies, all start again, three times at most, and go on from the newest checkpoint.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "$(basename "$0"): got $# arguments; wanted CONFIG GPUS [options of train.py]" >&2
    exit 2
fi
CONFIG=$1
GPUS=$2
TOOLS=$(cd "$(dirname "$0")" && pwd)
ADDRESS=${MASTER_ADDR:-127.0.0.1} PORT=${PORT:-29500}

MEETING=(--node-rank="${NODE_RANK:-0}" --master-addr="$ADDRESS" --master-port="$PORT")
if [ "${MAX_RESTARTS:-0}" -gt 0 ]; then
    # A place to meet that is made anew for each start: at a fixed one, processes find the addresses of the dead
    # and wait for them. Ranks are given out as the machines come, so NODE_RANK has no say.
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
    MEETING=(--rdzv-backend=c10d --rdzv-endpoint="$ADDRESS:$PORT" --rdzv-id="$PORT" --max-restarts="$MAX_RESTARTS")
fi

PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    "${MEETING[@]}" \
    --nproc-per-node="$GPUS" \
    "$TOOLS"/train.py "$CONFIG" --launcher pytorch "${@:3}"
