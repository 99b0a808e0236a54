"""What the process imports from which a study's programs are forked; its name is passed to multiprocessing."""

import contextlib
import importlib
import os

from ..utils.imported_code import record_imports

record_imports()
# The screen belongs to the study; each program redirects its output.
_devnull = os.open(os.devnull, os.O_WRONLY)
os.dup2(_devnull, 1)
os.dup2(_devnull, 2)
for _name in ("smix_mm.engine.train", "smix_mm.engine.test", "mmpretrain.apis", "mmdet.apis"):
    with contextlib.suppress(Exception):  # a program that needs it prints the error
        importlib.import_module(_name)
