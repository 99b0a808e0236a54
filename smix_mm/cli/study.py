"""Pretrain several arms, fine-tune detectors from each, and compare over seeds.

examples:
  python tools/study.py run configs/demo/study.py --work-dir work_dirs/demo
  python tools/study.py run STUDY --work-dir DIR --plan            only print the plan
  python tools/study.py run STUDY --work-dir DIR --gpus 0 1 2 3    a run on each GPU
  python tools/study.py run STUDY --work-dir DIR --gpus 0,1 2,3    two GPUs a run
  python tools/study.py run STUDY --work-dir DIR --executor ray    a task of Ray for each run, on this machine
  python tools/study.py run STUDY --work-dir DIR --executor ray --address auto   on the cluster of this machine
  python tools/study.py run STUDY --work-dir DIR --executor slurm  a job for each run
  python tools/study.py plan STUDY --gpus 8 --cores 64             what it costs, where that was measured
  python tools/study.py status STUDY --work-dir DIR
  python tools/study.py report --work-dir DIR --out results/mine
  python tools/study.py verify --work-dir DIR
  python tools/study.py run STUDY --work-dir DIR --minutes 8       a piece of it
  python tools/study.py export --work-dir DIR --out PIECE          without the weights, to go on elsewhere:
  python tools/study.py import STUDY PIECE --work-dir OTHER
Started again, `run` skips what is finished or queued and continues what was interrupted.
"""

from __future__ import annotations

import argparse

from .list_experiments import ROOT, add_machine, given_machine

INTERRUPTED = "start it again to go on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="run all that is not finished, then write the report")
    status = verbs.add_parser("status", help="the state of every run, and the last log lines of those that failed")
    plan = verbs.add_parser("plan", help="estimate hours, GPU-hours and disk from measurements; runs nothing")
    plan.add_argument("--work-dir", help="folder of the study: finished runs are left out, and their means are shown")
    plan.add_argument("--results", default=ROOT / "results", help="folder of measurements (default: the project's)")
    add_machine(plan)
    for verb in (run, status, plan):
        verb.add_argument("study", help="config of the study")
    run.add_argument("--plan", action="store_true", help="print the plan and stop")
    run.add_argument(
        "--executor", choices=["local", "ray", "slurm", "local-jobs"], default="local", help="(default: local)"
    )
    run.add_argument("--address", help="of a Ray cluster, such as auto (default: RAY_ADDRESS, else this machine)")
    gpus = "one run at a time on each GPU or group of GPUs, such as 0 1 or 0,1 2,3"
    run.add_argument("--gpus", nargs="+", default=[], metavar="GPUS", help=gpus)
    processes = "processes that train one run together, on each node (default: 1)"
    run.add_argument("--processes", type=int, default=1, help=processes)
    minutes = "start no run that would end later, judged by those that are finished (default: no limit)"
    run.add_argument("--minutes", type=float, help=minutes)
    export = verbs.add_parser("export", help="copy finished runs without weights, and write the report there")
    export.add_argument("--out", required=True, help="folder to add them to")
    imported = verbs.add_parser("import", help="take over the finished runs of an earlier piece")
    imported.add_argument("study", help="config of the study")
    imported.add_argument("piece", help="folder that export wrote")
    report = verbs.add_parser("report", help="write table, statistics and figures from the result files alone")
    report.add_argument("--out", help="where to write (default: the work dir)")
    verify = verbs.add_parser(
        "verify", help="compute hashes and figures again and compare; exit status 1 if any differs"
    )
    clean = verbs.add_parser("clean", help="remove the training files of finished runs, and list stale runs")
    clean.add_argument("--stale", action="store_true", help="remove the stale runs that were set aside, too")
    for verb in (run, status, report, verify, clean, export, imported):
        verb.add_argument("--work-dir", required=True, help="folder of all runs and of the report")


def run(options: argparse.Namespace) -> int | None:
    from ..study import commands

    if options.verb == "run":
        commands.run_study(
            options.study,
            options.work_dir,
            executor=options.executor,
            gpus=options.gpus,
            processes=options.processes,
            address=options.address,
            minutes=options.minutes,
            dry=options.plan,
        )
    elif options.verb == "plan":
        from ..experiments import Machine, plan_costs

        study = commands.load_study(options.study)
        print(plan_costs(study, Machine(**given_machine(options)), options.results, ROOT, options.work_dir))
    elif options.verb == "status":
        commands.status(options.study, options.work_dir)
    elif options.verb == "report":
        commands.report(options.work_dir, options.out)
    elif options.verb in ("export", "import"):
        from ..study import pieces

        if options.verb == "export":
            pieces.export_study(options.work_dir, options.out)
        else:
            pieces.import_study(options.study, options.piece, options.work_dir)
    elif options.verb == "clean":
        commands.clean(options.work_dir, options.stale)
    else:
        from ..study.pieces import verify_study

        wrong = verify_study(options.work_dir)
        print("\n".join(wrong) if wrong else "verify: every hash and every figure agrees with the stored files")
        return 1 if wrong else 0
    return None
