"""Writes docs/model_zoo.md (below its marker), model-index.yml and every metafile.yml: `python docs/model_zoo.py`."""

import json
import statistics
from functools import cache
from pathlib import Path

import yaml
from mmengine.config import Config

from smix_mm.experiments import list_experiments
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


def add_result(entry: dict, data: str, metrics: dict) -> None:
    task = (
        "Image Classification" if read(ROOT / entry["Config"]).model.type == "ImageClassifier" else "Object Detection"
    )
    entry["Metadata"]["Status"] = "run"
    entry.setdefault("Results", []).append({"Task": task, "Dataset": data, "Metrics": metrics})


def family_entries(folder: Path, rows: list[dict]) -> list[dict]:
    """Every config of a family that trains, with the results of its rows."""
    entries = []
    for config in sorted(folder.rglob("*.py")):
        if not {"model", "train_dataloader"} <= {*(cfg := read(config))}:
            continue
        # A name is unique in the index, but two folders may have the same name of a file.
        name = config.stem if config.parent == folder else f"{config.parent.name}_{config.stem}"
        entry = describe(config, cfg, name, data := DATA.get(folder.name, folder.name))
        for row in rows:
            if row["config"] == entry["Config"] and not row["options"] and row["ours"] != "not run":
                add_result(entry, f"{data}, {row['row']}", {row["table"]: row["ours"]})
        entries.append(entry)
    return entries


def study_entries(folder: Path) -> list[dict]:
    """Every arm of a study, and every detector after it, that has results; ``Files`` names them."""
    study, entries = read(folder / "study.py"), []
    for detector in ("pretraining", *study.detectors):
        for arm in study.arms:
            chosen = study.arms[arm] if detector == "pretraining" else study.detectors[detector]
            runs = f"{arm}/seed*/{detector}" + ("" if detector == "pretraining" else "/seed*")
            files = sorted((ROOT / "results" / folder.name).glob(f"{runs}/result.json"))
            if not files:
                continue
            chosen = dict(config=chosen) if isinstance(chosen, str) else chosen
            config = (folder / chosen["config"]).resolve()
            name, data = f"{folder.name}_{arm}_{detector}", f"{folder.name} {detector}"
            entry = describe(config, read_config(config, chosen.get("cfg_options")), name, data)
            found = [json.loads(file.read_text("utf-8"))["metrics"] for file in files]
            means = {name: statistics.fmean(run[name] for run in found) for name in METRICS if name in found[0]}
            metrics = {METRICS[name]: round(mean * (100 if "mAP" in name else 1), 2) for name, mean in means.items()}
            add_result(entry, f"{data} ({len(files)} run{'s' * (len(files) > 1)})", metrics)
            logs = {path.name for path in files[0].parent.iterdir()} & {"scalars.json", "curve.json"}
            if options := chosen.get("cfg_options"):
                entry["Metadata"]["Options"] = " ".join(f"{key}={value}" for key, value in options.items())
            entries.append(dict(entry, Files=[f"results/{folder.name}/{runs}/", "result.json", *sorted(logs)[-1:]]))
    return entries


def study_section(name: str, entries: list[dict]) -> str:
    rows = []
    for entry in entries:
        (result,), (folder, *files) = entry["Results"], entry.pop("Files")
        config = " ".join([f"`{entry['Config']}", *filter(None, [entry["Metadata"].get("Options")])]) + "`"
        metric, figure = next(iter(result["Metrics"].items()))
        cell = f"{metric} {figure:.2f} {result['Dataset'].removeprefix(entry['Metadata']['Training Data'] + ' ')}"
        rows.append([f"`{entry['Name']}`", config, cell, f"`{folder}`", ", ".join(files)])
    command = f"python tools/study.py run configs/studies/{name}/study.py --work-dir work_dirs/{name}"
    table = markdown_table(["name", "config", "mean, %", "folder", "result, log"], rows)
    limits = f"Conditions and limits: `results/{name}/README.md`; intervals: `results/{name}/report.md`."
    return f"## Run: {name}\n\nAll rows by one command. {limits}\n\n```bash\n{command}\n```\n\n{table}\n"


def render(results: Path = ROOT / "results") -> dict[str, str]:
    """The text of every file that this script writes, by its path from the project's root."""
    rows = list_experiments(results=results, root=ROOT)
    for row in rows:
        row["quoted"] = f"`{row['config']} {row['options']}`".replace(" `", "`") if row["commands"] else row["config"]
    folders = [path for path in sorted((ROOT / "configs").iterdir()) if path.is_dir()]
    families = [path for path in folders if path.name not in ("_base_", "demo", "studies")]
    parts, entries = [], {path: family_entries(path, rows) for path in families}
    for path in sorted((ROOT / "configs/studies").iterdir()):
        if (ROOT / "results" / path.name).is_dir():
            entries[path] = study_entries(path)
            parts.append(study_section(path.name, entries[path]))
    for table in dict.fromkeys(row["table"] for row in rows):
        cells = [[row[name] for name in ("row", "quoted", "paper", "ours")] for row in rows if row["table"] == table]
        parts.append(f"## {table}\n\n{markdown_table(['row', 'config', 'paper', 'here'], cells)}\n")
    found = {entry["Config"] for path in families for entry in entries[path]} - {row["config"] for row in rows}
    others = [Path(config) for config in sorted(found)]
    cells = []
    for folder in dict.fromkeys(path.parent for path in others):
        cells.append([f"`{folder}/`", ", ".join(f"`{path.name}`" for path in others if path.parent == folder)])
    parts.append(f"## Configs of no row\n\nNot run.\n\n{markdown_table(['folder', 'configs'], cells)}\n")
    head = (ROOT / PAGE).read_text("utf-8").partition(MARKER)[0]
    files = {PAGE: head + MARKER + "\n" + "\n".join(parts)}
    for path, listed in entries.items():
        files[f"{from_root(path)}/metafile.yml"] = dump({"Models": listed})
    papers = {name: dict(Paper=f"https://arxiv.org/abs/{number}") for name, number in ARXIV.items()}
    used = {entry["In Collection"] for listed in entries.values() for entry in listed}
    collections = [{"Name": name, **papers.get(name, {})} for name in sorted(used)]
    index = {"Collections": collections, "Import": [f"{from_root(path)}/metafile.yml" for path in entries]}
    return {**files, "model-index.yml": dump(index)}


def dump(content: dict) -> str:
    """YAML under a comment."""
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
    return f"# Written by `python docs/model_zoo.py`.\n{text}"


if __name__ == "__main__":
    for name, text in render().items():
        with atomic_path(ROOT / name) as temporary:
            Path(temporary).write_text(text, encoding="utf-8")
