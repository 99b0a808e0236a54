"""Run every test that needs a GPU, then the benchmarks; write results/gpu/<card>.json and print a table.

examples:
  make gpu
  python tools/gpu_check.py --plan
  python tools/gpu_check.py --only saliency-tests saliency
  python tools/gpu_check.py --write-docs
Exit status: 0 if all passed, 1 if something failed, 2 if there is no GPU or for wrong use.
"""

import argparse
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from ..utils.errors import PackageError, UsageError

ROOT = Path(__file__).parents[2]
NEEDED = ("torch", "pytest", "mmengine", "mmcv", "mmpretrain")
INTERRUPTED = "nothing was written"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--plan", action="store_true", help="print the parts and their time limits, and run nothing")
    add("--only", nargs="+", metavar="PART", help="run only these parts; write nothing to results/")
    add("--out", default=ROOT / "work_dirs/gpu", help="folder for the logs (default: work_dirs/gpu)")
    add("--results", default=ROOT / "results", help="folder of results (default: the project's)")
    add(
        "--write-docs",
        action="store_true",
        help="write the figures of results/gpu into README and docs, and run nothing",
    )


def run(options: argparse.Namespace) -> int:
    if not (ROOT / "tests").is_dir():
        raise UsageError(f"gpu-check needs the project's folder with its tests, got {ROOT}; run `make gpu` there.")
    missing = [name for name in NEEDED if find_spec(name) is None]
    if "torch" in missing or (missing and not (options.plan or options.write_docs)):
        raise PackageError(f"this Python lacks {', '.join(missing)}; install them, or add them to PYTHONPATH.")

    from ..benchmarks.gpu_record import FOLDER, format_notes, format_run, make_record, write_documents, write_record
    from ..benchmarks.gpu_run import PARTS, TOTAL_SECONDS, run_parts
    from ..benchmarks.machine import describe_gpu_machine

    if options.write_docs:
        changed = write_documents(ROOT, options.results)
        print("\n".join(f"{path.relative_to(ROOT)} changed" for path in changed) or "nothing to change")
        return 0
    names = [part.name for part in PARTS]
    unknown = sorted(set(options.only or ()) - set(names))
    if unknown:
        raise UsageError(f"--only should be of {', '.join(names)}, got {', '.join(unknown)}.")
    parts = [part for part in PARTS if options.only is None or part.name in options.only]
    if options.plan:
        for part in parts:
            print(f"{part.name}: {part.kind}, at most {part.seconds:.0f} s\n  python {' '.join(part.arguments)}")
        print(f"all together at most {TOTAL_SECONDS:.0f} s")
        return 0
    machine = describe_gpu_machine()
    if machine["card"] is None:
        raise UsageError(
            f"torch {machine['torch']} sees no GPU; run this on a machine with one (--plan shows the parts)."
        )
    print(f"{machine['card']}, torch {machine['torch']}", flush=True)
    record = make_record(machine, run_parts(parts, options.out, ROOT, say=partial(print, flush=True)), ROOT)
    print("\n".join(filter(None, ["", format_notes(record), "", format_run(record)])))
    if options.only is None:
        print(f"written: {write_record(Path(options.results) / FOLDER, record)}")
    return 0 if record["all_passed"] else 1
