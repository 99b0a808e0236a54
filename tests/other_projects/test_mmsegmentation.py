"""A published backbone in a segmentor of MMSegmentation."""

import pytest
import torch

from smix_mm.transfer import prove_loaded, publish_backbone
from smix_mm.utils.errors import LoadProofError

REASON = "MMSegmentation is not installed, or without the operators of mmcv: pip install onedl-mmsegmentation"
pytest.importorskip("mmseg.models", reason=REASON, exc_type=ImportError)

MEAN, STD = [125.3, 123.0, 113.9], [63.0, 62.1, 66.7]
CLASSES = 3


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A published ResNet-18 of mmpretrain with updated batch norm statistics."""
    from mmpretrain.registry import MODELS

    torch.manual_seed(0)
    classifier = MODELS.build(
        dict(
            type="ImageClassifier",
            backbone=dict(type="ResNet", depth=18),
            neck=dict(type="GlobalAveragePooling"),
            head=dict(type="LinearClsHead", num_classes=5, in_channels=512),
        )
    )
    classifier.init_weights()
    classifier.train()(torch.randn(4, 3, 64, 64))
    folder = tmp_path_factory.mktemp("published")
    torch.save(dict(state_dict=classifier.state_dict(), meta=dict()), folder / "epoch_1.pth")
    publish_backbone(folder / "epoch_1.pth", folder / "backbone.pth", channel_order="rgb", mean=MEAN, std=STD)
    return folder / "backbone.pth", classifier.backbone


def segmentor(backbone, **options):
    """A small fully convolutional network on a ResNet-18, which loads its backbone by ``init_cfg``."""
    from mmengine.registry import DefaultScope
    from mmseg.registry import MODELS

    norm = dict(type="BN", requires_grad=True)
    torch.manual_seed(1)
    config = dict(
        type="EncoderDecoder",
        data_preprocessor=dict(
            type="SegDataPreProcessor", mean=MEAN, std=STD, bgr_to_rgb=True, size=(64, 96), seg_pad_val=255
        ),
        backbone=dict(
            type="ResNet", depth=18, norm_cfg=norm, init_cfg=dict(type="Pretrained", checkpoint=str(backbone))
        )
        | options,
        decode_head=dict(
            type="FCNHead",
            in_channels=512,
            in_index=3,
            channels=16,
            num_convs=1,
            num_classes=CLASSES,
            norm_cfg=norm,
        ),
        train_cfg=dict(),
        test_cfg=dict(mode="whole"),
    )
    with DefaultScope.overwrite_default_scope("mmseg"):
        model = MODELS.build(config)
    model.init_weights()
    return model


def test_its_backbone_equals_the_published_one_and_computes_the_same_features(published):
    path, backbone = published
    model = segmentor(path)
    prove_loaded(model, path)
    # Not chained: mmpretrain's eval() returns nothing.
    backbone.eval()
    model.eval()
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(model.backbone(images)[-1], backbone(images)[-1])


def test_it_trains(published):
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    model = segmentor(published[0])
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.randint(0, CLASSES, (1, 64, 96))))
    sample.set_metainfo(dict(img_shape=(64, 96), ori_shape=(64, 96)))
    image = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    from mmengine.optim import OptimWrapper

    losses = model.train().train_step(dict(inputs=[image] * 2, data_samples=[sample] * 2), OptimWrapper(optimizer))
    assert torch.isfinite(losses["loss"])
    with pytest.raises(LoadProofError, match="with other values"):
        prove_loaded(model, published[0])


def test_a_stem_of_three_convolutions_raises(published):
    """ResNetV1c, which most configs of MMSegmentation use, is a different network."""
    with pytest.raises(LoadProofError, match="in the model, not in the checkpoint"):
        prove_loaded(segmentor(published[0], type="ResNetV1c"), published[0])
