"""Command line of `smix_mm.benchmarks`: on a machine with a GPU, the tests that need one, then the benchmarks."""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
NEEDED = ("torch", "pytest", "mmengine", "mmcv", "mmpretrain")
EXAMPLES = """examples:
  make gpu
  python tools/gpu_check.py --plan
  python tools/gpu_check.py --only saliency-tests saliency
  python tools/gpu_check.py --write-docs
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Run every test that needs a GPU, then the benchmarks; write results/gpu/<card>.json and a table.",
        epilog=EXAMPLES + "exit status: 0 all passed, 1 something failed, 2 there is no GPU or the call is wrong",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--plan", action="store_true", help="print the parts and their time limits, and run nothing")
    parser.add_argument("--only", nargs="+", metavar="PART", help="only these parts; nothing is written to results/")
    parser.add_argument("--out", default=ROOT / "work_dirs/gpu", help="folder for the logs (default: work_dirs/gpu)")
    parser.add_argument("--results", default=ROOT / "results", help="folder of results (default: the project's)")
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="write the figures of results/gpu into README and docs, and run nothing",
    )
    options = parser.parse_args()
    missing = [name for name in NEEDED if find_spec(name) is None]
    if "torch" in missing or (missing and not (options.plan or options.write_docs)):
        return say(f"this Python has no {', '.join(missing)}; install them, or put them on PYTHONPATH", 2)
    from smix_mm.benchmarks.gpu_parts import PARTS, TOTAL_SECONDS
    from smix_mm.benchmarks.gpu_record import FOLDER, describe_machine, make_record, write_record
    from smix_mm.benchmarks.gpu_run import run_parts
    from smix_mm.benchmarks.gpu_tables import format_notes, format_run, write_documents

    if options.write_docs:
        try:
            changed = write_documents(ROOT, options.results)
        except ValueError as error:
            return say(str(error), 2)
        print("\n".join(f"{path.relative_to(ROOT)} changed" for path in changed) or "nothing to change")
        return 0
    unknown = sorted(set(options.only or ()) - {part.name for part in PARTS})
    if unknown:
        return say(f"--only has {', '.join(unknown)}; should be of {', '.join(part.name for part in PARTS)}", 2)
    parts = [part for part in PARTS if options.only is None or part.name in options.only]
    if options.plan:
        for part in parts:
            print(f"{part.name}: {part.kind}, at most {part.seconds:.0f} s\n  python {' '.join(part.arguments)}")
        print(f"all together at most {TOTAL_SECONDS:.0f} s")
        return 0
    try:
        machine = describe_machine()
        if machine["card"] is None:
            return say(f"torch {machine['torch']} sees no GPU; run this where there is one (--plan: what it runs)", 2)
        print(f"{machine['card']}, torch {machine['torch']}", flush=True)
        results = run_parts(parts, options.out, ROOT, say=lambda text: print(text, flush=True))
    except RuntimeError as error:
        return say(str(error), 2)
    except KeyboardInterrupt:
        return say("interrupted; nothing was written", 130)
    record = make_record(machine, results, ROOT)
    print("\n".join(filter(None, ["", format_notes(record), "", format_run(record)])))
    if options.only is None:
        print(f"written: {write_record(Path(options.results) / FOLDER, record)}")
    return 0 if record["all_passed"] else 1


def say(sentence: str, status: int) -> int:
    print(f"gpu_check.py: {sentence}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
