"""Writes docs/model_zoo.md below its marker, model-index.yml and every metafile.yml: `python docs/model_zoo.py`.

Everything comes from the configs, the rows of smix_mm/experiments and the result files under results/.
"""

import json
import statistics
from collections import defaultdict
from functools import cache
from pathlib import Path

import yaml
from mmengine.config import Config

from smix_mm.experiments import EXPERIMENTS
from smix_mm.experiments.records import Result, describe_result, read_results
from smix_mm.utils.config import read_config
from smix_mm.utils.files import atomic_path
from smix_mm.utils.text import markdown_table

ROOT = Path(__file__).parents[1]
read = cache(read_config)
PAGE = "docs/model_zoo.md"
MARKER = "% Below: written by docs/model_zoo.py.\n"
DATA = {"bccd": "BCCD", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet": "ImageNet-1k"}
DATA |= {"tiny_imagenet": "Tiny-ImageNet", "voc": "VOC07+12"}
ARXIV = dict(SaliencyMix="2006.01791", OfficialSaliencyMix="2006.01791", CutMix="1905.04899", Mixup="1710.09412")
ARXIV |= dict(Cutout="1708.04552", FasterRCNN="1506.01497", RetinaNet="1708.02002")
METRICS = {"accuracy/top1": "Top 1 Accuracy", "accuracy/top5": "Top 5 Accuracy", "voc/mAP_11point": "AP50"}
SHARES = ("voc/", "pascal_voc/", "coco/")  # metrics between 0 and 1


def from_root(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def collection(cfg: Config) -> str:
    """What a config is an example of: its detector, or its augmentation."""
    if cfg.model.type != "ImageClassifier":
        return str(cfg.model.type)
    augments = (cfg.data_preprocessor.get("batch_augments") or {}).get("augments", [])
    steps = list(augments) if isinstance(augments, list) else [augments]
    steps += [step for step in cfg.train_dataloader.dataset.get("pipeline", []) if step["type"] == "Cutout"]
    return " + ".join(step["type"] for step in steps) or "Baseline"


def describe(config: Path, cfg: Config, name: str, data: str) -> dict:
    """The entry of a config in a metafile, without results."""
    training, backbone = cfg.train_cfg, cfg.model.backbone
    length = {"Iterations": training.max_iters} if training.get("max_iters") else {"Epochs": training.max_epochs}
    network = [f"{backbone.type.split('.')[-1]}-{backbone.get('depth', '')}".rstrip("-")]
    size = {"Batch Size": cfg.train_dataloader.batch_size, "Architecture": network}
    metadata = {"Training Data": data, **length, **size, "Status": "not run"}
    return {"Name": name, "In Collection": collection(cfg), "Config": from_root(config), "Metadata": metadata}


def add_results(entry: dict, data: str, runs: list) -> None:
    """Add the means, in %, of the metrics of one or more runs of a row."""
    common = [name for name in runs[0] if all(name in run for run in runs)]
    names = [name for name in common if name in METRICS] or common
    means = {name: statistics.fmean(run[name] for run in runs) for name in names}
    means = {METRICS.get(n, n): round(100 * mean if n.startswith(SHARES) else mean, 2) for n, mean in means.items()}
    task = "Object Detection" if any(name.startswith(SHARES) for name in names) else "Image Classification"
    entry["Metadata"]["Status"] = "run"
    result = {"Task": task, "Dataset": f"{data} ({len(runs)} run{'s' * (len(runs) > 1)})", "Metrics": means}
    entry.setdefault("Results", []).append(result)


def family_entries(folder: Path, results: list[Result]) -> list[dict]:
    """Every config of a family that trains, with the results that name it."""
    entries = []
    for config in sorted(folder.rglob("*.py")):
        if not {"model", "train_dataloader"} <= {*(cfg := read(config))}:
            continue
        # A name is unique in the index, but two folders may have the same name of a file.
        name = config.stem if config.parent == folder else f"{config.parent.name}_{config.stem}"
        entry = describe(config, cfg, name, DATA.get(folder.name, folder.name))
        rows = defaultdict(list)
        for result in results:
            if result.config == entry["Config"]:
                notes = (Path(result.pretraining or "").stem, "" if result.protocol == "paper" else result.protocol)
                rows[", ".join([entry["Metadata"]["Training Data"], *filter(None, notes)])].append(result.metrics)
        for data, runs in sorted(rows.items()):
            add_results(entry, data, runs)
        entries.append(entry)
    return entries


def study_entries(folder: Path) -> list[dict]:
    """Every arm of a study with results, and every detector after it; ``Files`` names the results."""
    study, entries = read(folder / "study.py"), []
    for detector in ("pretraining", *study.detectors):
        for arm, start in study.arms.items():
            config = folder / (start if detector == "pretraining" else study.detectors[detector])
            name, data = f"{folder.name}_{arm}_{detector}", f"{folder.name} {detector}"
            runs = f"{arm}/seed*/{detector}" + ("" if detector == "pretraining" else "/seed*")
            files = sorted((ROOT / "results" / folder.name).glob(f"{runs}/result.json"))
            entry = describe(config, read(config), name, data)
            add_results(entry, data, [json.loads(file.read_text("utf-8"))["metrics"] for file in files])
            logs = {path.name for path in files[0].parent.iterdir()} & {"scalars.json", "curve.json"}
            entries.append(dict(entry, Files=[f"results/{folder.name}/{runs}/", "result.json", max(logs)]))
    return entries


def study_section(name: str, entries: list[dict]) -> str:
    rows = []
    for entry in entries:
        (result,), (folder, *files) = entry["Results"], entry["Files"]
        metric, figure = next(iter(result["Metrics"].items()))
        cell = f"{metric} {figure:.2f} {result['Dataset'].removeprefix(entry['Metadata']['Training Data'] + ' ')}"
        rows.append([f"`{entry['Name']}`", f"`{entry['Config']}`", cell, f"`{folder}`", ", ".join(files)])
    command = f"python tools/study.py run configs/studies/{name}/study.py --work-dir work_dirs/{name}"
    table = markdown_table(["name", "config", "mean, %", "folder", "result, log"], rows)
    limits = f"Conditions and limits: `results/{name}/README.md`; intervals: `results/{name}/report.md`."
    return f"## Run: {name}\n\nAll rows by one command. {limits}\n\n```bash\n{command}\n```\n\n{table}\n"


def render(results_folder: Path = ROOT / "results") -> dict[str, str]:
    """The text of every file that this script writes, by its path from the project's root."""
    results = read_results(results_folder)
    folders = [path for path in sorted((ROOT / "configs").iterdir()) if path.is_dir()]
    families = [path for path in folders if path.name not in ("_base_", "demo", "studies")]
    parts, entries = [], {path: family_entries(path, results) for path in families}
    for path in sorted((ROOT / "configs/studies").iterdir()):
        if (ROOT / "results" / path.name).is_dir():
            entries[path] = study_entries(path)
            parts.append(study_section(path.name, entries[path]))
    for table in dict.fromkeys(row.table for row in EXPERIMENTS):
        cells = [[r.row, r.config, r.paper, describe_result(r, results)] for r in EXPERIMENTS if r.table == table]
        cells = [[row, f"`{config}`" if config else "no config here", *rest] for row, config, *rest in cells]
        parts.append(f"## {table}\n\n{markdown_table(['row', 'config', 'paper', 'here'], cells)}\n")
    named = {row.config for row in EXPERIMENTS}
    others = [entry for path in families for entry in entries[path] if entry["Config"] not in named]
    cells = [[f"`{entry['Config']}`", entry["Metadata"]["Status"]] for entry in others]
    parts.append(f"## Configs of no row\n\n{markdown_table(['config', 'here'], cells)}\n")
    head = (ROOT / PAGE).read_text("utf-8").partition(MARKER)[0]
    files, found = {PAGE: head + MARKER + "\n" + "\n".join(parts)}, set()
    for path, listed in entries.items():
        models = [{key: value for key, value in entry.items() if key != "Files"} for entry in listed]
        files[f"{from_root(path)}/metafile.yml"] = dump({"Models": models})
        found |= {entry["In Collection"] for entry in listed}
    papers = {name: dict(Paper=f"https://arxiv.org/abs/{number}") for name, number in ARXIV.items()}
    collections = [{"Name": name, **papers.get(name, {})} for name in sorted(found)]
    index = {"Collections": collections, "Import": [f"{from_root(path)}/metafile.yml" for path in entries]}
    return {**files, "model-index.yml": dump(index)}


def dump(content: dict) -> str:
    """YAML under a comment."""
    return "# Written by `python docs/model_zoo.py`.\n" + yaml.safe_dump(
        content, sort_keys=False, allow_unicode=True, width=110
    )


if __name__ == "__main__":
    for name, text in render().items():
        with atomic_path(ROOT / name) as temporary:
            Path(temporary).write_text(text, encoding="utf-8")
