"""Check the images and the annotations, in VOC's or COCO's format, that a config's data loaders would read.

examples:
  python tools/check_data.py configs/bccd/faster-rcnn_r18_fpn_bccd.py
  python tools/check_data.py configs/cifar10/resnet18_baseline_cifar10.py --decode --json findings.json
  SMIX_BCCD=data/BCCD python tools/check_data.py configs/bccd/faster-rcnn_r18_fpn_bccd.py --fix data/BCCD-clean
  SMIX_BCCD=data/BCCD-clean python tools/train.py configs/bccd/faster-rcnn_r18_fpn_bccd.py

Settings that contradict each other or the data count as errors: classes, their number, metrics, order of pipelines.

Exit status: 0 if there is no error, 1 if there is any (also with --fix), 2 for wrong use or if
nothing is left of a set.
"""

import argparse
import io
import json
import os
import sys

from ..datasets.check.clean import LEFT_OUT
from ..datasets.check.findings import ERRORS as KINDS_OF_ERRORS
from ..datasets.check.findings import REMARKS
from ..utils.choices import check_minimum
from ..utils.command_line import add_cfg_options
from ..utils.errors import UsageError

for _title, _kinds in (("errors", KINDS_OF_ERRORS), ("remarks", REMARKS)):
    __doc__ += f"\n{_title}:\n" + "".join(f"  {kind:<19} {meaning}\n" for kind, meaning in _kinds.items())

ERRORS = {OSError: 2}
INTERRUPTED = "nothing was written"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("config", help="classification config over image files, or detection config over VOC or COCO format")
    add(
        "--fix",
        metavar="OUT",
        help="write a data root without the errors: annotations, split files and COCO files cleaned, images linked, "
        f"every change in {LEFT_OUT}",
    )
    add("--jobs", type=int, help="number of processes (default: one a core)")
    add("--decode", action="store_true", help="decode every image instead of reading only its header")
    add("--ignore", nargs="+", default=(), metavar="KIND", help="kinds of errors that are intended")
    add("--show", type=int, default=5, metavar="N", help="files shown for each kind (default: 5)")
    add("--json", metavar="FILE", help="write all findings to this file")
    add_cfg_options(parser)


def run(options: argparse.Namespace) -> int:
    check_minimum("--jobs", options.jobs, 1)
    check_minimum("--show", options.show, 0)

    from ..datasets.check import check_data, write_clean_copy
    from ..preflight import CONTRADICTION, format_findings, preflight_data
    from ..utils.config import read_config
    from ..utils.files import write_json

    if isinstance(sys.stdout, io.TextIOWrapper):  # a file name need not be valid text
        sys.stdout.reconfigure(errors="backslashreplace")
    if options.json and not _is_report(options.json):
        raise UsageError(f"--json {options.json} exists and is no report of this tool; name a new file.")
    cfg = read_config(options.config, options.cfg_options)
    settings = preflight_data(cfg)
    if settings:
        print(format_findings(settings), flush=True)
    checked = check_data(cfg, jobs=options.jobs, decode=options.decode, ignore=options.ignore)
    print(checked.report.text(options.show), flush=True)
    if options.json:
        more = dict(settings=[vars(finding) for finding in settings]) if settings else {}
        write_json(options.json, dict(checked.report.as_dict(), config=options.config, **more))
    if options.fix:
        changes = write_clean_copy(checked, options.fix)
        done = ", ".join(f"{count} × {change}" for change, count in changes.items()) or "nothing to change"
        print(f"{options.fix}: {done}; every change is listed in {os.path.join(options.fix, LEFT_OUT)}")
    checked.require_samples()
    wrong = "settings" not in options.ignore and any(finding.level == CONTRADICTION for finding in settings)
    return 1 if checked.report.failed or wrong else 0


def _is_report(path: str) -> bool:
    """Whether a file may be overwritten: it does not exist, or is an older report."""
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except ValueError:
        return False
    except (FileNotFoundError, NotADirectoryError):
        return True
    return isinstance(content, dict) and "findings" in content
