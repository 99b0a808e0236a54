"""Command line of `smix_mm.study.commands`."""

import argparse
import sys

from smix_mm.utils.command_line import run_command
from smix_mm.utils.errors import CheckpointError

EXAMPLES = """examples:
  python tools/study.py run configs/demo/study.py --work-dir work_dirs/demo
  python tools/study.py run STUDY --work-dir DIR --plan            print the plan alone
  python tools/study.py run STUDY --work-dir DIR --gpus 0 1 2 3    a run on each GPU
  python tools/study.py run STUDY --work-dir DIR --gpus 0,1 2,3    two GPUs a run
  python tools/study.py run STUDY --work-dir DIR --executor slurm  a job for each run
  python tools/study.py status STUDY --work-dir DIR
  python tools/study.py report --work-dir DIR --out results/mine
  python tools/study.py verify --work-dir DIR
Started again, `run` leaves alone what is finished and goes on where it was interrupted.
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Pretrain several arms, fine-tune detectors from each, and compare over seeds.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="run all that is not finished, then write the report")
    show = verbs.add_parser("status", help="the state of every run, with the last log lines of failed ones")
    for verb in (run, show):
        verb.add_argument("study", help="config of the study")
    run.add_argument("--plan", action="store_true", help="print the plan and stop")
    run.add_argument(
        "--executor", choices=["local", "slurm", "local-jobs"], default="local", help="where runs are done"
    )
    run.add_argument(
        "--gpus", nargs="+", default=[], metavar="GPUS", help="a run at a time on each (group), as 0 1 or 0,1 2,3"
    )
    run.add_argument("--processes", type=int, default=1, help="processes that train one run together (default: 1)")
    report = verbs.add_parser("report", help="write table, statistics and figures from the result files alone")
    report.add_argument("--out", help="where to write (default: the work dir)")
    verify = verbs.add_parser(
        "verify", help="compute hashes and figures again and compare; exit status 1 where they differ"
    )
    clean = verbs.add_parser("clean", help="remove the trainings' own files of finished runs")
    for verb in (run, show, report, verify, clean):
        verb.add_argument("--work-dir", required=True, help="where everything is written")
    options = parser.parse_args()

    from smix_mm.utils.errors import StepError, UsageError

    try:
        return _call(options)
    except (UsageError, CheckpointError) as error:
        print(f"study.py: {error}", file=sys.stderr)
        return 2
    except StepError as error:
        print(f"study.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("study.py: interrupted; start it again to go on", file=sys.stderr)
        return 130


def _call(options: argparse.Namespace) -> int:
    from smix_mm.study import commands

    if options.verb == "run":
        placement = commands.Placement(options.executor, tuple(options.gpus), options.processes)
        commands.run_study(options.study, options.work_dir, placement, dry=options.plan)
    elif options.verb == "status":
        commands.status(options.study, options.work_dir)
    elif options.verb == "report":
        commands.report(options.work_dir, options.out)
    elif options.verb == "clean":
        commands.clean(options.work_dir)
    else:
        from smix_mm.study.verify import verify_study

        wrong = verify_study(options.work_dir)
        print("\n".join(wrong) if wrong else "verify: every hash and every figure agrees with the stored files")
        return 1 if wrong else 0
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
