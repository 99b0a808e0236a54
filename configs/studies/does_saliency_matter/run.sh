#!/usr/bin/env bash
# Runs studies of this folder one after the other, each in its own folder; run again, it continues.
#   bash configs/studies/does_saliency_matter/run.sh [--plan] [--minutes N] [--results DIR] WORK_DIR STUDY...
# --plan prints the plan alone. --minutes starts no run that would end later. --results imports what DIR/STUDY has of
# earlier pieces, and at the end adds the runs of this piece to it. RUN_OPTIONS has options of `study.py run`.
set -euo pipefail
minutes="" results="" plan=""
while [[ ${1-} == --* ]]; do
  case $1 in
    --plan) plan=--plan; shift ;;
    --minutes | --results)
      [ $# -ge 2 ] || { echo "run.sh: $1 should be followed by its value" >&2; exit 2; }
      printf -v "${1#--}" %s "$2"; shift 2 ;;
    *) echo "run.sh: an option should be --plan, --minutes or --results, got $1" >&2; exit 2 ;;
  esac
done
[ $# -ge 2 ] || { echo "run.sh: a work dir and studies are needed, such as work_dirs/does_saliency_matter cifar10" >&2; exit 2; }
[[ $minutes =~ ^[0-9]*$ ]] || { echo "run.sh: --minutes should be a whole number, such as 8, got $minutes" >&2; exit 2; }
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
work_dir=$1
shift
tool() { "${PYTHON:-python}" "$here/../../../tools/study.py" "$@"; }
for study in "$@"; do
  config=$here/$study.py
  folder=${study%_rivals} # the same study with more arms
  options=(${RUN_OPTIONS-} $plan)
  if [ -n "$results" ] && [ -z "$plan" ] && [ -f "$results/$folder/study.json" ]; then
    tool import "$config" "$results/$folder" --work-dir "$work_dir/$folder"
  fi
  if [ -n "$minutes" ]; then
    left=$((minutes * 60 - SECONDS))
    [ "$left" -gt 0 ] || { echo "run.sh: no time is left for $study" && break; }
    options+=(--minutes "$(awk "BEGIN { print $left / 60 }")")
  fi
  status=0
  tool run "$config" --work-dir "$work_dir/$folder" "${options[@]}" || status=$?
  if [ -n "$results" ] && [ -z "$plan" ] && [ -f "$work_dir/$folder/study.json" ]; then
    tool export --work-dir "$work_dir/$folder" --out "$results/$folder"
  fi
  [ "$status" -eq 0 ] || exit "$status"
done
