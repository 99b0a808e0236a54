#!/usr/bin/env bash
# Creates .venv with everything that the demo, the tests and the studies need. If nothing has changed, it ends at once;
# after an interruption, it creates .venv again, from uv's cache. PYTHON=... chooses a Python. MMCV_OPS=1 compiles
# mmcv's operators, with the compiler CXX=...; MMCV_OPS=0 returns to torchvision's.
set -euo pipefail
unset CDPATH PYTHONHOME PYTHONPATH
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# Whether to compile mmcv's operators: without MMCV_OPS, as in the last set-up.
asked_before() { sed -n 's/^operators //p' ".venv/$1" 2>/dev/null; }
operators=${MMCV_OPS:-$(asked_before .ready || asked_before .unfinished || true)}
operators=${operators:-0}
[[ $operators = [01] ]] || fail "MMCV_OPS should be 0 or 1, got $operators"

# The folder is part of the state, because the scripts of a .venv contain its absolute path.
state() {
  echo "operators $operators"
  { pwd; .venv/bin/python -V; cat requirements.txt pyproject.toml tools/{setup.sh,mmcv_operators.toml}; } 2>/dev/null | sha256sum
}
end_if_ready() { [ "$(state)" != "$(cat .venv/.ready 2>/dev/null)" ] || { say '.venv is ready'; exit 0; }; }

# Valid in Python 2 too, so that an old Python is reported by its version.
probe='
import os, sys, sysconfig
version = "%d.%d" % sys.version_info[:2]
if version not in ("3.11", "3.12") or sys.implementation.name != "cpython":
    print("is Python " + version)
    sys.exit()
compiles = sys.argv[1] == "1"
try:
    import ensurepip, venv
    if compiles:
        open(os.path.join(sysconfig.get_paths()["include"], "Python.h")).close()
    print("ok " + sys._base_executable)
except (ImportError, OSError) as error:
    packages = " ".join("python%s-%s" % (version, part) for part in ("venv", "dev")[:1 + compiles])
    print("lacks a part (%s): apt install %s" % (error, packages))
'
ask() { "$1" -c "$probe" "$operators" 2>/dev/null || printf 'does not run'; }

# Sets `python`. Every candidate is run, because a shim (pyenv's, for example) may exist and fail.
find_python() {
  local candidate answer seen='' problem='' candidates=(python3.11 python3.12 python3 python .venv/bin/python)
  [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    command -v "$candidate" >/dev/null || continue
    answer=$(ask "$candidate")
    case $answer in
      'ok '*) python=${answer#ok }; return ;;
      'lacks '*) problem=${problem:-$candidate $answer} ;;
      *) seen="${seen:+$seen, }$candidate $answer" ;;
    esac
  done
  seen=${seen:-none${PYTHON:+ at $PYTHON}}
  problem=${problem:-"Python 3.11 or 3.12 is needed, found $seen: apt install python3.11-venv (or 3.12)"}
  fail "$problem, or choose another Python: PYTHON=/path/to/python3.12 make setup"
}

# Exports CXX, so that mmcv is compiled with the compiler that was tested.
find_compiler() {
  local program candidates=(c++ g++ clang++)
  [ -z "${CXX:-}" ] || candidates=("$CXX")
  program=$(mktemp)
  for CXX in "${candidates[@]}" ''; do
    # Unquoted, because CXX may contain several words, such as "ccache g++".
    ! $CXX -x c++ -o "$program" - <<<$'#include <vector>\nint main() {}' >/dev/null 2>&1 || break
  done
  rm -f "$program"
  [ -n "$CXX" ] || fail "MMCV_OPS=1 needs a C++ compiler, but none compiles a small program (tried ${candidates[*]}):" \
    "apt install g++, choose one (CXX=/path/to/g++ make setup MMCV_OPS=1), or run make setup MMCV_OPS=0"
  export CXX
}

check_disk() {
  local needed=7 free_kb
  free_kb=$(df -Pk . | sed -nE '2s/.* ([0-9]+) +[0-9]+% .*/\1/p') || return 0
  [ -z "$free_kb" ] || [ $((free_kb >> 20)) -ge "$needed" ] ||
    fail "$needed GB of free disk are needed for $PWD, found $((free_kb >> 20)) GB: free some, or use a larger disk"
}

# mmcv's build compiles CUDA operators if it finds a GPU, and then needs nvcc of the same major version as torch's CUDA.
install_options=() install_environment=()
choose_operators() {
  local nvcc needed found
  [ "$operators" = 1 ] || return 0
  # uv reads this file instead of pyproject.toml; with --no-deps, the overrides of dependencies there have no effect.
  install_options=(--config-file tools/mmcv_operators.toml --no-deps)
  [[ ${FORCE_CUDA:-0} = 1 || (-n ${CUDA_VISIBLE_DEVICES-all} && $(nvidia-smi -L 2>/dev/null) = GPU*) ]] || return 0
  nvcc=$(command -v "${CUDA_HOME:+$CUDA_HOME/bin/}nvcc" || echo "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc")
  needed=$(sed -nE 's/^cuda-toolkit==([0-9]+)\..*/\1/p' requirements.txt)
  found=$("$nvcc" --version 2>/dev/null | sed -nE 's/.*release ([0-9]+)\..*/\1/p') || found=''
  if [[ -n $found && $found = "$needed" ]]; then
    # nvcc on PATH may be a wrapper: ask it for its toolkit's folder, which torch would derive from the wrapper's path.
    export CUDA_HOME=${CUDA_HOME:-$("$nvcc" --dryrun -x cu /dev/null 2>&1 | sed -n 's/^#\$ TOP=//p')} FORCE_CUDA=1
    # A separate build setting, or uv would use a CPU build from its cache.
    install_options+=(--config-settings-package onedl-mmcv:operators=cuda)
    say "mmcv gets CUDA operators, compiled by $nvcc"
  else
    install_environment=(CUDA_VISIBLE_DEVICES= FORCE_CUDA=0)
    say "there is a GPU, but mmcv gets only CPU operators, because nvcc of CUDA $needed is needed and" \
      "${found:-none} was found: detectors cannot train on the GPU until you install the CUDA $needed toolkit, remove" \
      ".venv and run this again, or run make setup MMCV_OPS=0 for torchvision's operators, which work on the GPU"
  fi
}

end_if_ready
[ "$(uname -s)" = Linux ] || fail "Linux is needed, found $(uname -s): use a Linux machine or container"
find_python
[ "$operators" = 0 ] || find_compiler
[ -d .venv ] || check_disk
if command -v flock >/dev/null; then
  exec 9>.setup.lock
  # Not every network file system supports locks; continue without one there.
  flock -n 9 || { say 'another set-up is running here: waiting for it'; flock 9 || true; }
  end_if_ready
fi
# A .venv without .ready was never finished, and may contain a partly unpacked package.
{ [ -f .venv/.ready ] && [[ $(ask .venv/bin/python) = 'ok '* ]] && grep -qsF " $PWD/.venv" .venv/pyvenv.cfg; } ||
  { say "creating .venv with $python"; "$python" -m venv --clear "$PWD/.venv"; }
built_before=$(asked_before .ready || true)
rm -f .venv/.ready
state >.venv/.unfinished
choose_operators
more=$([ "$operators" = 0 ] || echo ' and 10-20 more to compile mmcv')
say "installing packages: 1-4 minutes the first time$more, then seconds;" \
  "6 GB of disk, and another 6 GB for uv's cache if it is on another disk"
.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
# Set-up takes longer by it, and the first command that imports the packages is faster.
export UV_COMPILE_BYTECODE=1
into=(.venv/bin/uv pip install --python .venv/bin/python)
# uv does not distinguish an mmcv with operators from one without.
[ "${built_before:-$operators}" = "$operators" ] || .venv/bin/uv pip uninstall --quiet --python .venv/bin/python onedl-mmcv
env "${install_environment[@]}" "${into[@]}" "${install_options[@]}" --requirements requirements.txt
"${into[@]}" --quiet --no-deps --no-build-isolation --editable .
.venv/bin/python -m smix_mm.doctor ||
  fail 'the environment has problems: fix the lines marked above, then run this again'
mv -f .venv/.unfinished .venv/.ready
say '.venv is ready'
