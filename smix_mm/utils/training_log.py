"""What mmengine logs of a training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Iterator


def log_entries(work_dir: Path) -> Iterator[dict[str, Any]]:
    """Entries with a step of every log in a work dir, in the order in which they were written."""
    for log in sorted(work_dir.glob("*/vis_data/scalars.json")):
        for line in log.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # the line that was being written when a run was killed
            if isinstance(entry, dict) and "step" in entry:
                yield entry
