"""The command smix-mm."""

import subprocess
import sys

import pytest

from smix_mm.cli import main as module
from smix_mm.cli.main import COMMANDS, completion, main
from smix_mm.version import __version__


def test_the_help_fits_a_screen_and_needs_no_torch():
    code = "import sys; from smix_mm.cli.main import main; main([]); sys.exit('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) <= 30 and max(map(len, lines)) <= 90
    assert [line.split()[0] for line in lines if line.startswith("  ")] == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_help_is_that_of_its_tool_under_its_own_name(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    printed = capsys.readouterr().out
    assert ended.value.code == 0 and printed.startswith(f"usage: smix-mm {command} ")
    assert f"\n  smix-mm {command}" in printed
    assert f"python tools/{COMMANDS[command][0]}.py" not in printed


def test_errors_name_the_command(tmp_path, capsys):
    assert main(["publish", str(tmp_path / "none.pth"), str(tmp_path / "out.pth")]) == 2
    assert capsys.readouterr().err.startswith("smix-mm publish: ")


def test_no_command_and_an_unknown_one_are_wrong_use(capsys):
    assert main([]) == 2
    with pytest.raises(SystemExit) as ended:
        main(["proof"])
    assert ended.value.code == 2 and "COMMAND should be one of new-config, " in capsys.readouterr().err


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"smix-mm {__version__}\n"


def test_bash_completes_commands_options_and_files(tmp_path):
    pytest.importorskip("shtab")
    script = tmp_path / "completion"
    script.write_text(completion("bash"))
    (tmp_path / "detector.py").touch()

    def complete(*words):
        code = (
            f"source {script}; COMP_WORDS=({' '.join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}; "
            "_shtab_smix_mm; printf '%s\\n' \"${COMPREPLY[@]}\""
        )
        run = subprocess.run(["bash", "-c", code], cwd=tmp_path, capture_output=True, text=True)
        return [word.strip() for word in run.stdout.split("\n") if word.strip()]

    assert complete("smix-mm", "pr") == ["prepare-data", "predict", "prove"]
    assert "--on-nonfinite" in complete("smix-mm", "train", "--on")
    assert complete("smix-mm", "train", "--on-nonfinite", "") == ["stop", "skip"]
    assert complete("smix-mm", "train", "det") == ["detector.py"]
    assert completion("zsh").startswith("#compdef smix-mm")


def test_completion_without_shtab_names_the_package(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert module.main(["--completion", "bash"]) == 2
    assert capsys.readouterr().err == ("smix-mm: completion needs shtab, which is not installed: pip install shtab\n")
