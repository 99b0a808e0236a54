"""What the command lines in ``tools/`` share.

A tool parses its arguments before it imports what does the work: torch and the OpenMMLab packages take many
seconds, and ``--help`` or a mistyped option needs none of them. So its heavy imports stand inside the function
that does the work, and this module has none.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Callable

from .choices import LAUNCHERS
from .packages import describe_import_error


def run_command(main: Callable[[], int]) -> int:
    """Run a command line; a package that is absent or does not import ends it in one sentence and status 2."""
    try:
        return main()
    except Exception as error:
        sentence = describe_import_error(error)
        if sentence is None:
            raise
        print(f"{Path(sys.argv[0]).name}: {sentence}", file=sys.stderr)
        return 2


class _ConfigOptions(argparse.Action):
    """mmengine's ``DictAction``, imported when the option is given."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        from mmengine.config import DictAction

        DictAction(self.option_strings, self.dest)(parser, namespace, values, option_string)


def add_cfg_options(parser: argparse.ArgumentParser, help: str = "laid over the config") -> None:
    """``--cfg-options KEY=VALUE ...``, which becomes ``cfg_options``: settings by dotted name, or None."""
    parser.add_argument("--cfg-options", nargs="+", action=_ConfigOptions, metavar="KEY=VALUE", help=help)


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that train and test share."""
    parser.add_argument("--work-dir", help="where logs and checkpoints go (default: work_dirs/<config's name>)")
    add_cfg_options(parser, "settings laid over the config, such as train_dataloader.batch_size=64 or key='[a,b]'")
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none", help="how several processes are started")
    # torch.distributed.launch hands it over in the one or the other spelling.
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help="set by the launcher")


def parse_size(text: str) -> tuple[int, int]:
    """``224`` or ``HEIGHTxWIDTH``."""
    height, _, width = text.partition("x")
    return int(height), int(width or height)
