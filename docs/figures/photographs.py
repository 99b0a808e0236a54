# Four free photographs that come with scikit-image, for the figures of the documentation.
from importlib.util import find_spec

mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
custom_imports = dict(imports=["smix_mm"])
default_scope = "mmpretrain"
data_preprocessor = dict(
    num_classes=4,
    mean=mean,
    std=std,
    to_rgb=True,
    batch_augments=dict(augments=dict(type="SaliencyMix", mean=mean, std=std), probs=1.0),
)
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="CustomDataset",
        data_prefix=find_spec("skimage").submodule_search_locations[0] + "/data",
        ann_file="{{ fileDirname }}/photographs.txt",
        metainfo=dict(classes=["astronaut", "cat", "coffee", "rocket"]),
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="ResizeEdge", scale=224, edge="short"),
            dict(type="CenterCrop", crop_size=224),
            dict(type="PackInputs"),
        ],
    ),
)
