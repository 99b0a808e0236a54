"""The command lines that a study starts by ``python -m``, and that ``tools/`` have under the same names."""
