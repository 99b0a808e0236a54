"""Runs as tasks of Ray: what a task gets, and what remains after a process, a node or the command is killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from smix_mm.datasets.demo import make_digit_scenes
from smix_mm.study import commands, on_ray
from smix_mm.study.config import Study
from smix_mm.study.run import Run
from smix_mm.study.worker import Worker
from smix_mm.transfer.checkpoint import read_checkpoint
from smix_mm.utils.errors import PackageError, StepError, UsageError
from smix_mm.utils.lock import hold, read_token

SECRET = "a-key-that-no-file-may-hold"


class FakeRay:
    """Replaces Ray: one node, and tasks that are recorded instead of executed."""

    def __init__(self, **resources):
        self.resources, self.options, self.calls = resources, {}, []

    def nodes(self):
        return [dict(Alive=True, Resources=self.resources), dict(Alive=False, Resources=dict(CPU=99, GPU=99))]

    def remote(self, function):
        return SimpleNamespace(options=self._record)

    def _record(self, **options):
        self.options = options
        return SimpleNamespace(remote=lambda *arguments: self.calls.append(arguments) or len(self.calls))


def worker(tmp_path, processes=1, **cluster) -> Worker:
    arms = {"given": str(tmp_path / "none.pth")}
    return Worker(Study("A study", arms, {}, cluster=cluster), tmp_path / "work", processes=processes)


def test_a_task_gets_the_resources_of_the_study_and_waits_for_the_run_that_it_needs(tmp_path, monkeypatch):
    one, ray = worker(tmp_path, cpus=4, gpus=2, memory_gb=3), FakeRay(CPU=8.0, GPU=2.0, memory=2.0**34)
    monkeypatch.setattr(Worker, "is_finished", lambda self, run: False)
    resources, lacking = on_ray._resources(ray.nodes(), one)
    assert lacking is None
    runs = [Run("given", None), Run("given", None, "voc", 0)]
    with hold(one.folder / ".lock", "busy"):
        on_ray._submit(ray, runs, one, print, resources)
    name = "given/given/voc/seed0"
    assert ray.options == dict(num_cpus=4, num_gpus=2, memory=3 * 2**30, max_retries=3, name=name)
    assert [call[-1] for call in ray.calls] == [None, 1]
    _, text = on_ray._resources(FakeRay(CPU=8.0, GPU=1.0, memory=2.0**34).nodes(), one)
    assert text == "a run needs 4 CPUs, 2 GPUs and 3 GiB of memory, and no node of Ray has these"


@pytest.mark.parametrize("processes, gpu, expected", [(1, 0, (1, 0)), (1, 4, (1, 1)), (2, 4, (2, 2))])
def test_by_default_a_process_has_a_core_and_where_there_are_gpus_a_gpu(tmp_path, processes, gpu, expected):
    ray = FakeRay(CPU=8.0, **(dict(GPU=float(gpu)) if gpu else {}))
    resources, _ = on_ray._resources(ray.nodes(), worker(tmp_path, processes))
    assert (resources["CPU"], resources["GPU"], resources["memory"]) == (*expected, 0)


def test_only_named_variables_reach_a_task(tmp_path, monkeypatch):
    values = dict(SOME_API_KEY=SECRET, SMIX_DEMO_DATA="x", MINE_TOO="y", CUDA_VISIBLE_DEVICES="3", CUDA_OTHER="z")
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Worker, "is_finished", lambda self, run: False)
    one, ray = worker(tmp_path, export=["MINE_*", "CUDA_*"]), FakeRay(CPU=1.0)
    with hold(one.folder / ".lock", "busy"):
        on_ray._submit(ray, [Run("given", None)], one, print, on_ray._resources(ray.nodes(), one)[0])
    variables = ray.calls[0][3]
    expected = {"PATH": os.environ["PATH"], "SMIX_DEMO_DATA": "x", "MINE_TOO": "y", "CUDA_OTHER": "z"}
    assert expected.items() <= variables.items()
    assert "CUDA_VISIBLE_DEVICES" not in variables and SECRET not in repr(ray.calls)


def test_a_run_on_a_node_without_the_studys_folder_fails_in_one_sentence(tmp_path):
    one = worker(tmp_path)
    failure, _ = on_ray._execute(one, Run("given", None), "token", 0.0, None)
    assert failure.startswith(f"the node {socket.gethostname()} does not see the study's folder {one.folder}, which")
    with hold(one.folder / ".lock", "busy"):
        on_ray.check_folder(one.folder, read_token(one.folder / ".lock"), 0.0)
        with pytest.raises(StepError, match="does not see the study's folder"):
            on_ray.check_folder(one.folder, "of an earlier lock", 0.0)
    assert on_ray._execute(one, Run("given", None, "voc", 0), "", 0.0, ("the reason", ())) == (
        "blocked by given/given/pretraining",
        [],
    )
    task = on_ray._make_task()
    failure, _ = task(b"", str(tmp_path / "nowhere"), [], {})
    assert f"should have the folder {tmp_path / 'nowhere'} and the same packages" in failure


def test_without_ray_or_its_cluster_there_is_one_sentence(monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(PackageError, match=r"pip install 'ray>=2\.9'"):
        patched.setitem(sys.modules, "ray", None)
        on_ray.run_on_ray([], None, print)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(exceptions=SimpleNamespace(RayError=KeyError)))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(StepError, match=rf"Ray cannot be used at {address} \(.*refused.*ray start --head"):
            on_ray.run_on_ray([], None, print, address)


@pytest.mark.parametrize(
    "placement, cluster, message",
    [
        *(
            ((name, ["0"], None), {}, f"--gpus is for --executor local, got --executor {name}; set gpus in the study's")
            for name in ("ray", "slurm", "local-jobs")
        ),
        (("ray", [], None), dict(nodes=2), "nodes in the study's cluster should be 1 for --executor ray"),
        (("slurm", [], "auto"), {}, "--address is for --executor ray, got --executor slurm"),
    ],
)
def test_settings_that_an_executor_does_not_have_are_errors(placement, cluster, message):
    with pytest.raises(UsageError, match=message):
        commands._check_placement(Study("A study", {}, {}, cluster=cluster), *placement)


# What follows runs real clusters: two nodes on this machine, and a study whose programs only pretend to train.

PROGRAM = """
import json, os, shutil, sys, time
from pathlib import Path

program, folder = sys.argv[1], Path(sys.argv[2])
arm = folder.parts[-3 if folder.name == "pretraining" else -4]
work, state = folder / program, folder / program / "state.json"
work.mkdir(exist_ok=True)
if program == "test":
    (work / "detections.npz").write_bytes(b"predictions of " + arm.encode())
    (work / "metrics.json").write_text(json.dumps({"voc/mAP_11point": 0.5}))
    sys.exit()
done = json.loads(state.read_text()) if state.exists() else 0
print(f"starts at step {done} on {os.environ['NODE']}", flush=True)
for step in range(done, int(os.environ["SMIX_STEPS"])):
    time.sleep(0.25)
    (work / "new").write_text(json.dumps(step + 1))
    (work / "new").rename(state)
name = arm if folder.name == "pretraining" else "detector"
shutil.copy(Path(os.environ["SMIX_WEIGHTS"]) / f"{name}.pth", work / "last.pth")
(work / "last_checkpoint").write_text(str(work / "last.pth"))
(work / "load_proof.json").write_text(json.dumps(dict(backbone_hash="x")))
"""
DRIVER = """
import sys
from dataclasses import dataclass
from smix_mm.datasets.demo import make_digit_scenes
from smix_mm.study import commands, on_ray, worker
from smix_mm.study.programs import run_program
from smix_mm.utils.command_line import run_command

@dataclass(frozen=True)
class Pretending(worker.Worker):
    def _run(self, folder, program, on_line, *arguments):
        words = [program, str(folder), *map(str, arguments)]
        run_program("pretending_program", words, log=folder / "run.log", on_line=on_line, environment=self.environment)

if __name__ == "__main__":
    import pretending_driver  # the class has to be importable on a node
    worker.Worker = pretending_driver.Pretending
    on_ray.SECONDS_TO_APPEAR = 1.0
    commands.report = lambda work_dir: None
    study, work_dir, *address = sys.argv[1:]
    options = dict(executor="ray", address=address[0]) if address else {}
    sys.exit(run_command(lambda: commands.run_study(study, work_dir, **options) and None))
"""
STUDY = """
arms = dict(one="pretrain.py", two="pretrain.py")
detectors = dict(voc="detector.py")
"""


@pytest.fixture(scope="module")
def pretending(tmp_path_factory) -> Path:
    """A study and its programs in a folder."""
    pytest.importorskip("ray", reason="Ray is not installed")
    folder = tmp_path_factory.mktemp("pretending")
    (folder / "pretending_program.py").write_text(PROGRAM)
    (folder / "pretending_driver.py").write_text(DRIVER)
    (folder / "pretrain.py").write_text("model = dict(backbone=dict(depth=50))\n")
    (folder / "detector.py").write_text("model = dict()\ncustom_hooks = [dict(type='LoadProofHook')]\n")
    (folder / "study.py").write_text(STUDY)
    for number, name in enumerate(("one", "two", "detector"), start=1):
        weights = {"state_dict": {"backbone.conv1.weight": torch.full((4, 3, 3, 3), float(number))}}
        torch.save(weights, folder / f"{name}.pth")
    return folder


def environment(folder: Path, node: str, **more: object) -> dict[str, str]:
    variables = dict(NODE=node, OMP_NUM_THREADS="1", SMIX_WEIGHTS=folder, SMIX_STEPS=4)
    variables |= dict(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0123456789abcdef" * 4)
    path = f"{folder}:{Path(__file__).parents[2]}:{os.environ.get('PYTHONPATH', '')}"
    return {**os.environ, "PYTHONPATH": path, **{name: str(value) for name, value in {**variables, **more}.items()}}


def until(condition, seconds: float = 180):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
    return value


class Nodes:
    """Nodes of a Ray cluster on this machine, each with its own raylet."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.folder, self.processes = folder, {}

    def start(self, name: str, cpus: int, *before: str) -> None:
        """Start a node; ``before`` is a command that starts it."""
        where = [f"--address={self.address}"]
        if not self.processes:
            where = ["--head", f"--port={self.address[10:]}", "--include-dashboard=false"]
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--node-ip-address=127.0.0.1",
               f"--num-cpus={cpus}", "--num-gpus=0", "--object-store-memory=100000000",
               *where]  # fmt: skip
        with open(self.folder / f"{name}.log", "w") as log:
            self.processes[name] = subprocess.Popen(
                [*before, *ray], cwd=self.folder, env=environment(self.folder, name), stdout=log, stderr=log
            )
        log_file = self.folder / f"{name}.log"
        until(lambda: "Ray runtime started" in log_file.read_text() or self.processes[name].poll() is not None)
        assert self.processes[name].poll() is None, log_file.read_text()[-3000:]

    def kill_raylet(self, name: str) -> None:
        """SIGKILL the raylet of a node; its other processes end by themselves."""
        process = self.processes.pop(name)
        found = subprocess.run(["pgrep", "-P", str(process.pid), "raylet"], capture_output=True, text=True).stdout
        os.kill(int(found), signal.SIGKILL)
        process.wait(60)

    def stop(self) -> None:
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in self.processes.values():
            process.wait(60)


@pytest.fixture(scope="module")
def nodes(pretending):
    """A head without cores, and two nodes with one core each."""
    found = Nodes(pretending)
    found.start("head", 0)
    found.start("a", 1)
    found.start("b", 1)
    yield found
    found.stop()


def start(folder: Path, work_dir: Path, *address: str, **more: object) -> subprocess.Popen:
    command = [sys.executable, str(folder / "pretending_driver.py"), str(folder / "study.py"), str(work_dir), *address]
    variables = environment(folder, "driver", **more)
    return subprocess.Popen(
        command, cwd=folder, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def results(work_dir: Path) -> dict[str, bytes]:
    """Result files by path; of a checkpoint the members, whose folder has the name of a temporary file."""
    found = {}
    for path in sorted(work_dir.rglob("*")):
        name = path.relative_to(work_dir).as_posix()
        if path.name == "backbone.pth":
            with zipfile.ZipFile(path) as archive:
                found |= {f"{name}/{each.partition('/')[2]}": archive.read(each) for each in archive.namelist()}
        elif path.name in ("result.json", "detections.npz") and path.parent.name != "test":
            found[name] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def local(pretending) -> dict[str, bytes]:
    """The results of the study on this machine without Ray."""
    process = start(pretending, pretending / "local", SMIX_STEPS=1)
    output = process.communicate(timeout=240)[0]
    assert process.returncode == 0, output
    found = results(pretending / "local")
    assert {name.partition("/backbone.pth")[0] for name in found if "/data/0" in name} == {
        "one/seed0/pretraining",
        "two/seed0/pretraining",
    }
    assert len([name for name in found if "backbone.pth" not in name]) == 6
    return found


def running(work_dir: Path, at_least: int = 3) -> dict[str, int]:
    """The process that executes each pretraining, once both have made some steps."""
    states = [work_dir / arm / "seed0/pretraining/train/state.json" for arm in ("one", "two")]
    if not all(state.exists() and json.loads(state.read_text()) >= at_least for state in states):
        return {}
    return {arm: json.loads((work_dir / arm / "seed0/pretraining.lock").read_text())["pid"] for arm in ("one", "two")}


def starts(work_dir: Path) -> dict[str, list[tuple[int, str]]]:
    """At which step and on which node the training of each run started, every time."""
    found = {}
    for log in sorted(work_dir.rglob("run.log")):
        words = [line.split() for line in log.read_text().splitlines() if line.startswith("starts at step")]
        found[log.parent.relative_to(work_dir).as_posix()] = [(int(line[3]), line[5]) for line in words]
    return found


def finish(process: subprocess.Popen, work_dir: Path, local: dict[str, bytes]) -> str:
    output = process.communicate(timeout=240)[0]
    assert process.returncode == 0, output
    assert results(work_dir) == local
    return output


@pytest.mark.long
def test_a_killed_worker_and_a_second_command_cost_one_run_its_last_steps(pretending, nodes, local, tmp_path):
    first = start(pretending, tmp_path, nodes.address, SMIX_STEPS=40, SOME_API_KEY=SECRET)
    workers = until(lambda: running(tmp_path))
    second = start(pretending, tmp_path, nodes.address, SMIX_STEPS=40)
    os.kill(workers["one"], signal.SIGKILL)
    assert "another process runs a study in" in second.communicate(timeout=120)[0] and second.returncode == 2
    output = finish(first, tmp_path, local)
    assert "one/seed0/pretraining: running" in output
    found = starts(tmp_path)
    assert {node for run in found.values() for _, node in run} == {"a", "b"}
    (_, (step, _)) = found.pop("one/seed0/pretraining")
    assert step >= 3 and all(len(times) == 1 for times in found.values()), found
    logs = [path for path in Path("/tmp/ray/session_latest/").rglob("*") if path.is_file()]
    assert logs and not [path for path in logs if SECRET.encode() in path.read_bytes()]


@pytest.mark.long
def test_after_the_command_is_killed_another_continues_what_it_ran(pretending, nodes, local, tmp_path):
    first = start(pretending, tmp_path, nodes.address, SMIX_STEPS=40)
    workers = until(lambda: running(tmp_path))
    first.kill()
    first.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers.values()))
    finish(start(pretending, tmp_path, nodes.address, SMIX_STEPS=12), tmp_path, local)
    found = starts(tmp_path)
    assert [len(times) for times in found.values()] == [2, 1, 2, 1]
    assert all(times[1][0] >= 3 for run, times in found.items() if "pretraining" in run)
    again = finish(start(pretending, tmp_path, nodes.address), tmp_path, local)
    assert again.count("finished before") == 4 and starts(tmp_path) == found


@pytest.mark.long
def test_the_runs_of_a_lost_node_continue_on_another(pretending, nodes, local, tmp_path):
    process = start(pretending, tmp_path, nodes.address, SMIX_STEPS=40)
    until(lambda: running(tmp_path))
    nodes.kill_raylet("b")
    finish(process, tmp_path, local)
    found = starts(tmp_path)
    (lost,) = [times for times in found.values() if times[0][1] == "b"]
    assert lost[-1][1] == "a" and lost[-1][0] >= 3
    assert [times for times in found.values() if times is not lost and len(times) > 1] == []
    nodes.start("b", 1)


@pytest.mark.long
def test_a_node_that_does_not_see_the_folder_is_named(pretending, nodes, tmp_path):
    """The node's processes have an empty folder where the study's is."""
    work_dir = tmp_path / "work"
    work_dir.mkdir()
    alone = ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("this machine does not allow mount namespaces")
    nodes.start("blind", 3, *alone, "sh", "-c", f'mount -t tmpfs none {work_dir} && exec "$@"', "sh")
    study = pretending / "wide.py"
    study.write_text(STUDY + "cluster = dict(cpus=3)\n")
    command = [sys.executable, "pretending_driver.py", str(study), str(work_dir), nodes.address]
    run = subprocess.run(
        command, cwd=pretending, env=environment(pretending, "driver"), text=True, capture_output=True, timeout=240
    )
    assert run.returncode == 1 and f"does not see the study's folder {work_dir}, which should be on" in run.stdout
    assert "failed: one/seed0/pretraining, two/seed0/pretraining (blocked by these: 2 more)" in run.stderr


@pytest.mark.long
def test_on_one_machine_a_real_training_has_the_results_of_a_local_run(tmp_path, run_tool):
    """Ray is started and stopped by the command."""
    pytest.importorskip("ray", reason="Ray is not installed")
    make_digit_scenes(tmp_path / "data", train_scenes=2, test_scenes=2, pretrain_train=80, pretrain_test=20)
    (tmp_path / "short.py").write_text(
        f'_base_ = "{Path(__file__).parents[2]}/configs/demo/pretrain_baseline.py"\n'
        "train_cfg = dict(max_epochs=1, val_interval=1)\ntrain_dataloader = dict(batch_size=40)\n"
    )
    arm = 'dict(config="short.py", cfg_options=dict(augment="saliencymix"))'
    (tmp_path / "study.py").write_text(f'arms = dict(mix={arm})\nmetric = "accuracy/top1"\n')
    for executor in ("ray", "local"):
        command = ["tools/study.py", "run", tmp_path / "study.py", "--work-dir", tmp_path / executor]
        run_tool(*command, "--executor", executor, SMIX_DEMO_DATA=tmp_path / "data", OMP_NUM_THREADS=1)
    ray, local = (results(tmp_path / executor) for executor in ("ray", "local"))
    assert ray.keys() == local.keys() and len(local) > 60
    # They have the hash of the training's checkpoint, which has the date and the study's folder.
    differing = {name.rpartition("/")[2] for name in local if ray[name] != local[name]}
    assert differing <= {"data.pkl", "serialization_id"}
    hashes = [
        read_checkpoint(tmp_path / each / "mix/seed0/pretraining/backbone.pth")["meta"]["hash"]
        for each in ("ray", "local")
    ]
    assert hashes[0] == hashes[1]
    again = run_tool(*command[:-1], tmp_path / "local", "--executor", "ray", SMIX_DEMO_DATA=tmp_path / "data")
    assert "mix/seed0/pretraining: finished before" in again.stdout
