"""What a config says in several places, compared before the first iteration."""

import copy

import pytest
import torch

from smix_mm.preflight import CONTRADICTION, DOUBT, format_findings, preflight, preflight_data


def only(findings):
    (finding,) = findings
    return finding


def test_valid_configs_have_no_findings(detector, classifier):
    assert preflight(detector) == [] and preflight(classifier) == []
    assert format_findings([]) == "preflight: 0 contradictions, 0 doubts"


def test_a_head_with_another_number_of_classes_is_named_with_both_numbers(detector):
    detector["model"]["roi_head"]["bbox_head"]["num_classes"] = 1
    finding = only(preflight(detector))
    assert finding.level == CONTRADICTION and finding.setting == "model.roi_head.bbox_head.num_classes"
    assert finding.problem == "is 1, but train_dataloader.dataset.dataset has 2 classes"
    assert finding.fix == "set model.roi_head.bbox_head.num_classes=2"


def test_the_default_number_of_classes_of_a_head_counts(detector):
    del detector["model"]["roi_head"]["bbox_head"]["num_classes"]
    assert only(preflight(detector)).problem.startswith("is 80, but")


def test_every_stage_of_a_cascade_and_a_mask_head_are_compared(detector):
    roi_head = detector["model"]["roi_head"]
    roi_head["bbox_head"] = [dict(type="Shared2FCBBoxHead", num_classes=n) for n in (2, 3, 2)]
    roi_head["mask_head"] = dict(type="FCNMaskHead", num_classes=4)
    settings = {finding.setting for finding in preflight(detector)}
    assert {"model.roi_head.bbox_head.1.num_classes", "model.roi_head.mask_head.num_classes"} <= settings
    assert "train_dataloader.dataset.dataset.pipeline" in settings  # no masks are loaded


@pytest.mark.parametrize("part", ["val", "test"])
def test_another_order_of_classes_is_named_with_both_lists(detector, part):
    detector[f"{part}_dataloader"]["dataset"]["metainfo"] = dict(classes=("dog", "cat"))
    finding = only(preflight(detector))
    assert finding.setting == f"{part}_dataloader.dataset.metainfo.classes" and finding.level == CONTRADICTION
    assert finding.problem == ("has the order (dog, cat), but (cat, dog) is that of train_dataloader.dataset.dataset")


def test_classes_that_differ_in_case_alone_are_said_to(detector):
    detector["val_dataloader"]["dataset"]["metainfo"] = dict(classes=("Cat", "dog"))
    assert "upper and lower case differ" in only(preflight(detector)).problem


def test_a_string_for_classes_lacks_its_comma(detector):
    detector["train_dataloader"]["dataset"]["dataset"]["metainfo"] = dict(classes="cat")
    finding = preflight(detector)[0]
    assert finding.problem == "is the string 'cat', which is no file either"
    assert finding.fix == "for one class write ('cat',) with its comma"


@pytest.mark.parametrize("classes", [[], 3])
def test_classes_that_are_no_names_are_the_finding_and_not_the_other_datasets(detector, classes):
    detector["train_dataloader"]["dataset"]["dataset"]["metainfo"] = dict(classes=classes)
    finding = only(preflight(detector))
    assert finding.setting.endswith("dataset.metainfo.classes") and finding.problem == f"is {classes}"
    detector["train_dataloader"]["dataset"]["dataset"]["metainfo"] = "cat"
    assert only(preflight(detector)).problem == "is 'cat'"


def test_a_file_of_class_names_is_read_with_its_byte_order_mark(detector, tmp_path):
    (tmp_path / "classes.txt").write_text("cat\ndog\n", "utf-8-sig")
    detector["val_dataloader"]["dataset"]["metainfo"] = dict(classes=str(tmp_path / "classes.txt"))
    assert preflight(detector) == []


def test_class_folders_are_counted_and_compared(classifier, tmp_path):
    (tmp_path / "train/cow").mkdir()
    settings = [finding.setting for finding in preflight(classifier)]
    assert "model.head.num_classes" in settings and "data_preprocessor.num_classes" in settings
    assert "val_dataloader.dataset.metainfo.classes" in settings


def test_images_in_memory_have_the_class_folders_of_train_unless_another_split_is_given(classifier, tmp_path):
    del classifier["data_preprocessor"]["batch_augments"]
    for part, split in (("train", {}), ("val", dict(split="val"))):
        classifier[f"{part}_dataloader"]["dataset"] = dict(type="InMemoryDataset", data_root=str(tmp_path), **split)
    assert preflight(classifier) == []
    (tmp_path / "train/cow").mkdir()
    assert "model.head.num_classes" in [finding.setting for finding in preflight(classifier)]


def test_a_hidden_folder_is_named_as_what_is_taken_for_a_class(classifier, tmp_path):
    (tmp_path / "train/.ipynb_checkpoints").mkdir()
    finding = only(preflight(classifier))
    assert finding.setting == "train_dataloader.dataset" and finding.fix == "delete it"
    assert finding.problem == "has the hidden folder .ipynb_checkpoints, which the dataset takes for a class"


def test_topk_beyond_the_classes_and_accuracy_of_mixed_images_are_named(classifier):
    classifier["val_evaluator"]["topk"] = (1, 5)
    classifier["model"]["head"]["cal_acc"] = True
    assert [finding.setting for finding in preflight(classifier)] == ["val_evaluator.topk", "model.head.cal_acc"]


def test_an_evaluator_over_other_annotations_is_named(detector):
    detector["val_evaluator"] = dict(type="CocoMetric", ann_file="other.json", metric="bbox")
    assert only(preflight(detector)).setting == "val_evaluator.ann_file"


def test_boxes_loaded_before_the_resize_of_a_test_are_refused(detector):
    steps = detector["val_dataloader"]["dataset"]["pipeline"]
    steps.insert(1, steps.pop(2))
    finding = only(preflight(detector))
    assert finding.setting == "val_dataloader.dataset.pipeline" and "load annotations after Resize" in finding.fix


@pytest.mark.parametrize("name", ["val_evaluator", "val_cfg", "val_dataloader", "optim_wrapper", "train_cfg"])
def test_a_loop_without_one_of_its_settings_is_named(classifier, name):
    classifier[name] = None
    finding = only(preflight(classifier))
    assert finding.level == CONTRADICTION and finding.setting == name and "is None or missing" in finding.problem
    assert preflight_data(classifier) == [finding]


def test_normalization_of_pixels_from_0_to_1_is_named(classifier):
    for settings in (classifier["data_preprocessor"], classifier["data_preprocessor"]["batch_augments"]["augments"]):
        settings.update(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    finding = only(preflight(classifier))
    assert finding.setting == "data_preprocessor.mean" and finding.fix == "multiply both by 255"


@pytest.mark.parametrize("change", [dict(mean=[0.0, 0.0, 0.0]), dict(std=[1.0, 1.0, 1.0]), dict(channel_order="bgr")])
def test_an_augmentation_told_another_normalization_is_named(classifier, change):
    classifier["data_preprocessor"]["batch_augments"]["augments"].update(change)
    (name,) = change
    assert only(preflight(classifier)).setting == f"data_preprocessor.batch_augments.augments.{name}"


def backbone(tmp_path, depth=18, **meta):
    from mmpretrain.models import ResNet

    file = tmp_path / "backbone.pth"
    torch.save(dict(state_dict=ResNet(depth, num_stages=4).state_dict(), meta=meta), file)
    return str(file)


def test_what_init_cfg_would_load_is_compared_before_it_is_loaded(detector, tmp_path):
    init_cfg = dict(type="Pretrained", checkpoint=backbone(tmp_path))
    detector["model"]["backbone"]["init_cfg"] = init_cfg
    assert preflight(detector) == []
    deeper = copy.deepcopy(detector)
    deeper["model"]["backbone"]["depth"] = 50
    assert "of another shape (checkpoint -> model): layer1.0.conv1.weight" in only(preflight(deeper)).problem
    content = torch.load(init_cfg["checkpoint"], weights_only=True)
    whole = {f"backbone.{name}": value for name, value in content["state_dict"].items()}
    torch.save(dict(state_dict=whole), init_cfg["checkpoint"])
    finding = only(preflight(detector))
    assert finding.problem.startswith(f"FasterRCNN does not start from {init_cfg['checkpoint']}: 1")
    assert "in the model, not in the checkpoint" in finding.problem
    assert finding.problem.endswith("its names begin with backbone") and "publish_backbone.py" in finding.fix
    init_cfg["prefix"] = "backbone."
    assert preflight(detector) == []


def test_the_normalization_that_a_backbone_records_is_compared(detector, tmp_path):
    recorded = dict(format="smix_mm backbone 1", mean=[1.0, 2.0, 3.0], std=STD_OF_IMAGENET, channel_order="bgr")
    detector["model"]["backbone"]["init_cfg"] = dict(type="Pretrained", checkpoint=backbone(tmp_path, **recorded))
    problem = only(preflight(detector)).problem
    assert "channel_order is rgb in the model, but the backbone was trained with bgr; mean is [123.67" in problem
    assert "in the model, but the backbone was trained with [1.0, 2.0, 3.0]" in problem


@pytest.mark.parametrize("dataset", ["CIFAR10", "InMemoryDataset"])
def test_a_classifier_of_rgb_images_has_the_channel_order_of_its_own_backbone(classifier, tmp_path, dataset):
    """Without ``to_rgb``, images read from files would be BGR."""
    memory = dataset == "InMemoryDataset"
    classifier["train_dataloader"]["dataset"] = dict(type=dataset, data_root=str(tmp_path))
    if not memory:
        classifier["train_dataloader"]["dataset"]["pipeline"] = [dict(type="PackInputs")]
    del classifier["data_preprocessor"]["to_rgb"]
    classifier["data_preprocessor"]["type"] = "InMemoryClsDataPreprocessor" if memory else "ClsDataPreprocessor"
    for order in ("rgb", "bgr"):
        init_cfg = dict(type="Pretrained", checkpoint=backbone(tmp_path, channel_order=order))
        classifier["model"]["backbone"]["init_cfg"] = init_cfg
        problems = [one.problem for one in preflight(classifier) if one.setting.startswith("model.backbone")]
        if order == "rgb":
            assert problems == []
        else:
            assert len(problems) == 1 and "channel_order is rgb in the model, but the backbone was" in problems[0]


STD_OF_IMAGENET = [58.395, 57.12, 57.375]


def test_settings_that_a_resume_overrides_are_named_one_by_one(detector, tmp_path):
    file = tmp_path / "epoch_2.pth"
    group = dict(lr=0.01, initial_lr=0.1, momentum=0.9, weight_decay=1e-4, params=[0])
    saved = dict(milestones={2: 1, 3: 1}, gamma=0.1, begin=0, end=4)
    torch.save(dict(optimizer=dict(param_groups=[group]), param_schedulers=[saved], meta=dict(epoch=2, iter=20)), file)
    assert preflight(detector, file) == []
    detector["optim_wrapper"]["optimizer"].update(lr=0.001, weight_decay=5e-4)
    detector["param_scheduler"][0].update(milestones=[3], gamma=0.5)
    detector["train_cfg"]["max_epochs"] = 8
    problem = f"is 8 (train_cfg.max_epochs) in the config, but {file} resumes with 4"
    assert {finding.setting: finding.problem for finding in preflight(detector, file)}[
        "param_scheduler.0.end"
    ] == problem
    detector["train_cfg"]["max_epochs"] = 2
    detector["param_scheduler"][0]["end"] = 4
    detector["custom_hooks"] = [dict(type="EMAHook")]
    findings = preflight(detector, file)
    assert {finding.level for finding in findings} == {DOUBT}
    assert [finding.setting for finding in findings] == [
        "optim_wrapper.optimizer.lr",
        "optim_wrapper.optimizer.weight_decay",
        "param_scheduler.0.milestones",
        "param_scheduler.0.gamma",
        "train_cfg.max_epochs",
        "custom_hooks",
    ]
    assert findings[0].problem == f"is 0.001 in the config, but {file} resumes with 0.1"


def test_a_resume_with_other_classes_is_named(detector, tmp_path):
    file = tmp_path / "epoch_2.pth"
    for trained, level in ((("cat", "dog"), None), (["dog", "cat"], CONTRADICTION), (("cat", "wolf"), DOUBT)):
        torch.save(dict(state_dict={}, meta=dict(dataset_meta=dict(classes=trained))), file)
        found = preflight(detector, file, config_schedule=True)
        assert [finding.level for finding in found] == ([] if level is None else [level])
    assert found[0].problem == f"is (cat, dog), but (cat, wolf) are those of {file}"


def test_findings_are_listed_with_contradictions_first(detector):
    detector["model"]["rpn_head"]["num_classes"] = 5
    detector["model"]["roi_head"]["bbox_head"]["num_classes"] = 3
    first, second, total = format_findings(preflight(detector)[::-1]).splitlines()
    assert first.startswith("contradiction: model.roi_head.bbox_head.num_classes: is 3, but")
    assert second.startswith("doubt: model.rpn_head.num_classes: is 5, but")
    assert total == "preflight: 1 contradiction, 1 doubt"


def test_the_command_prints_the_findings_and_its_status_tells_contradictions(detector, tmp_path, capsys):
    from smix_mm.cli import run

    config = tmp_path / "config.py"
    config.write_text("\n".join(f"{name} = {value!r}" for name, value in detector.items()))
    command = [str(config), "--preflight", "--work-dir", str(tmp_path / "work")]
    assert run("train", command) == 0
    assert capsys.readouterr().out == "preflight: 0 contradictions, 0 doubts\n"
    assert run("train", [*command, "--cfg-options", "model.roi_head.bbox_head.num_classes=1"]) == 1
    assert "model.roi_head.bbox_head.num_classes: is 1, but" in capsys.readouterr().out
    wrong = [*command, "--cfg-options", "val_dataloader.dataset.metainfo.classes=['cat','cow']"]
    assert run("train", wrong) == 1 and run("train", ["--no-validate", *wrong]) == 0
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("option", [(), ("--preflight",)])
def test_the_configs_schedule_needs_a_resume(detector, tmp_path, capsys, option):
    from smix_mm.cli import run

    config = tmp_path / "config.py"
    config.write_text("\n".join(f"{name} = {value!r}" for name, value in detector.items()))
    command = [str(config), *option, "--work-dir", str(tmp_path)]
    assert run("train", [*command, "--config-schedule"]) == 2
    assert "--config-schedule changes how a run is resumed; give --resume too" in capsys.readouterr().err
    assert run("train", [*command, "--cfg-options", "resume=True", "load_from=none.pth"]) == 2
    assert "checkpoint none.pth does not exist; use --resume without a path" in capsys.readouterr().err


def test_values_of_another_kind_are_findings_and_no_tracebacks(detector, classifier, tmp_path):
    (tmp_path / "classes.txt").write_bytes("Löwe\n".encode("latin-1"))
    detector["val_dataloader"]["dataset"]["metainfo"] = dict(classes=str(tmp_path / "classes.txt"))
    assert "which cannot be read" in only(preflight(detector)).problem
    classifier["data_preprocessor"]["batch_augments"]["probs"] = ["often"]
    classifier["val_evaluator"]["topk"] = ("one",)
    # mmpretrain refuses both when it builds them.
    assert preflight(classifier) == []
    for probs in (-0.5, [-0.5]):
        classifier["data_preprocessor"]["batch_augments"]["probs"] = probs
        assert only(preflight(classifier)).setting.endswith("batch_augments.probs")
