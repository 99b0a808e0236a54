"""Command line of `smix_mm.datasets.check.check_data`."""

import argparse
import io
import os
import sys
from pathlib import Path

from smix_mm.datasets.check import check_data, write_clean_copy
from smix_mm.datasets.check.clean import LEFT_OUT
from smix_mm.datasets.check.findings import ERRORS, REMARKS
from smix_mm.utils.command_line import add_cfg_options, run_command
from smix_mm.utils.errors import DataError
from smix_mm.utils.files import write_json


def _described(kinds: dict[str, str]) -> str:
    return "\n".join(f"  {kind:<19} {what}" for kind, what in kinds.items())


EPILOG = f"""errors:
{_described(ERRORS)}
remarks:
{_described(REMARKS)}

The exit status is 1 with any error, also with --fix; 0 without errors; 2 for wrong use.

examples:
  python tools/check_data.py configs/bccd/faster-rcnn_r18_fpn_bccd.py
  python tools/check_data.py configs/cifar10/resnet18_baseline.py --decode --json findings.json
  SMIX_BCCD=data/BCCD python tools/check_data.py configs/bccd/faster-rcnn_r18_fpn_bccd.py --fix data/BCCD-clean
  SMIX_BCCD=data/BCCD-clean python tools/train.py configs/bccd/faster-rcnn_r18_fpn_bccd.py
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Check the images and VOC-style annotations that a config's dataloaders would read.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", help="classification config over image files, or VOC-style detection config")
    parser.add_argument(
        "--fix",
        metavar="OUT",
        help="write a data root without the errors: annotations and split files cleaned, images linked, "
        f"every change listed in {LEFT_OUT}",
    )
    parser.add_argument("--jobs", type=int, help="number of processes (default: one per core)")
    parser.add_argument("--decode", action="store_true", help="decode every image instead of reading its header")
    parser.add_argument("--ignore", nargs="+", default=(), metavar="KIND", help="errors that are intended")
    parser.add_argument("--show", type=int, default=5, metavar="N", help="files shown per kind (default: 5)")
    parser.add_argument("--json", metavar="FILE", help="write all findings to this file")
    add_cfg_options(parser)
    options = parser.parse_args()
    if options.jobs is not None and options.jobs < 1:
        parser.error(f"--jobs should be at least 1, got {options.jobs}")
    if not Path(options.config).is_file():
        parser.error(f"config {options.config} does not exist; give a config file, such as one under configs/")

    from smix_mm.utils.config import read_config

    if isinstance(sys.stdout, io.TextIOWrapper):  # file names may not be text
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        cfg = read_config(options.config)
        cfg.merge_from_dict(options.cfg_options or {})
        checked = check_data(cfg, jobs=options.jobs, decode=options.decode, ignore=options.ignore)
        print(checked.report.text(options.show), flush=True)
        if options.json:
            write_json(options.json, dict(checked.report.as_dict(), config=options.config))
        if options.fix:
            changes = write_clean_copy(checked, options.fix)
            done = ", ".join(f"{count} × {change}" for change, count in changes.items()) or "nothing to change"
            print(f"{options.fix}: {done}; listed in {os.path.join(options.fix, LEFT_OUT)}")
    except (DataError, OSError) as error:
        print(f"check_data.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("check_data.py: interrupted; nothing was written", file=sys.stderr)
        return 130
    return 1 if checked.report.failed else 0


if __name__ == "__main__":
    sys.exit(run_command(main))
