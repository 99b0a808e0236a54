#!/usr/bin/env bash
# Makes .venv with all that the demo, the tests and the studies need; where nothing changed it ends at once, and
# after an interruption it starts .venv anew, from uv's cache. PYTHON=... names a Python. MMCV_OPS=1 compiles mmcv's
# operators, with the compiler that CXX=... names; MMCV_OPS=0 goes back to torchvision's.
set -euo pipefail
unset CDPATH PYTHONHOME PYTHONPATH
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# Whether to compile mmcv's operators: what was asked for holds until something else is asked for.
asked_before() { sed -n 's/^operators //p' ".venv/$1" 2>/dev/null; }
operators=${MMCV_OPS:-$(asked_before .ready || asked_before .unfinished || true)}
operators=${operators:-0}
[[ $operators = [01] ]] || fail "MMCV_OPS should be 0 or 1, got $operators"

# The folder belongs to the state, because a .venv that was moved still points to its old place.
state() {
  echo "operators $operators"
  { pwd; .venv/bin/python -V; cat requirements.txt pyproject.toml tools/{setup.sh,mmcv_operators.toml}; } 2>/dev/null | sha256sum
}
end_if_ready() { [ "$(state)" != "$(cat .venv/.ready 2>/dev/null)" ] || { say '.venv is ready'; exit 0; }; }

# Python 2 has to be able to read this, to be told apart.
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

# Sets `python`. Candidates are run, since a shim may exist and yet fail.
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
  problem=${problem:-"wanted Python 3.11 or 3.12, found $seen: apt install python3.11-venv (or 3.12)"}
  fail "$problem, or name another Python: PYTHON=/path/to/python3.12 make setup"
}

# Exports CXX, so that mmcv is compiled with the compiler that was tried.
find_compiler() {
  local program candidates=(c++ g++ clang++)
  [ -z "${CXX:-}" ] || candidates=("$CXX")
  program=$(mktemp)
  for CXX in "${candidates[@]}" ''; do
    # Unquoted, because CXX may be several words, such as "ccache g++".
    ! $CXX -x c++ -o "$program" - <<<$'#include <vector>\nint main() {}' >/dev/null 2>&1 || break
  done
  rm -f "$program"
  [ -n "$CXX" ] || fail "MMCV_OPS=1 needs a C++ compiler, found none that compiles a small program" \
    "(tried ${candidates[*]}): apt install g++, name one (CXX=/path/to/g++ make setup MMCV_OPS=1), or run make setup" \
    "MMCV_OPS=0"
  export CXX
}

check_disk() {
  local wanted=7 free_kb
  free_kb=$(df -Pk . | sed -nE '2s/.* ([0-9]+) +[0-9]+% .*/\1/p') || return 0
  [ -z "$free_kb" ] || [ $((free_kb >> 20)) -ge "$wanted" ] ||
    fail "wanted $wanted GB of free disk for $PWD, found $((free_kb >> 20)) GB: free some, or move to a larger disk"
}

# mmcv's build makes CUDA operators where it sees a GPU, and then needs an nvcc of torch's own major version.
install_options=() install_environment=()
choose_operators() {
  local nvcc wanted found
  [ "$operators" = 1 ] || return 0
  # uv reads this file instead of pyproject.toml, whose overrides of dependencies --no-deps makes needless.
  install_options=(--config-file tools/mmcv_operators.toml --no-deps)
  [[ ${FORCE_CUDA:-0} = 1 || (-n ${CUDA_VISIBLE_DEVICES-all} && $(nvidia-smi -L 2>/dev/null) = GPU*) ]] || return 0
  nvcc=$(command -v "${CUDA_HOME:+$CUDA_HOME/bin/}nvcc" || echo "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc")
  wanted=$(sed -nE 's/^cuda-toolkit==([0-9]+)\..*/\1/p' requirements.txt)
  found=$("$nvcc" --version 2>/dev/null | sed -nE 's/.*release ([0-9]+)\..*/\1/p') || found=''
  if [[ -n $found && $found = "$wanted" ]]; then
    # The nvcc on PATH may be a wrapper; it knows the folder of its toolkit, where torch would guess.
    export CUDA_HOME=${CUDA_HOME:-$("$nvcc" --dryrun -x cu /dev/null 2>&1 | sed -n 's/^#\$ TOP=//p')} FORCE_CUDA=1
    # A setting of its own, or uv would take a CPU build out of its cache.
    install_options+=(--config-settings-package onedl-mmcv:operators=cuda)
    say "mmcv gets CUDA operators, compiled by $nvcc"
  else
    install_environment=(CUDA_VISIBLE_DEVICES= FORCE_CUDA=0)
    say "there is a GPU, yet mmcv gets CPU operators only, because nvcc of CUDA $wanted is needed and" \
      "${found:-none} was found: detectors cannot train on the GPU until you install the CUDA $wanted toolkit, remove" \
      ".venv and run this again, or run make setup MMCV_OPS=0 for torchvision's operators, which run there"
  fi
}

end_if_ready
[ "$(uname -s)" = Linux ] || fail "wanted Linux, found $(uname -s): use a Linux machine or container"
find_python
[ "$operators" = 0 ] || find_compiler
[ -d .venv ] || check_disk
if command -v flock >/dev/null; then
  exec 9>.setup.lock
  # Not every network disk has locks; go on without one there.
  flock -n 9 || { say 'another set-up is at work here: waiting for it'; flock 9 || true; }
  end_if_ready
fi
# A .venv without the stamp was never finished: a package may lie in it half unpacked.
{ [ -f .venv/.ready ] && [[ $(ask .venv/bin/python) = 'ok '* ]] && grep -qsF " $PWD/.venv" .venv/pyvenv.cfg; } ||
  { say "making .venv with $python: some seconds"; "$python" -m venv --clear "$PWD/.venv"; }
built_before=$(asked_before .ready || true)
rm -f .venv/.ready
state >.venv/.unfinished
choose_operators
say "installing packages: 1-4 minutes the first time$([ "$operators" = 0 ] || echo ' and 10-20 more to compile mmcv'), seconds" \
  "afterwards; 6 GB of disk, and as much for uv's cache where that lies on another disk"
.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
into=(.venv/bin/uv pip install --python .venv/bin/python)
# uv does not see that an mmcv with operators is another one than that without.
[ "${built_before:-$operators}" = "$operators" ] || .venv/bin/uv pip uninstall --quiet --python .venv/bin/python onedl-mmcv
env "${install_environment[@]}" "${into[@]}" "${install_options[@]}" --requirements requirements.txt
"${into[@]}" --quiet --no-deps --no-build-isolation --editable .
.venv/bin/python -m smix_mm.doctor ||
  fail 'the environment is not sound: fix what is marked above, then run this again'
mv -f .venv/.unfinished .venv/.ready
say '.venv is ready'
