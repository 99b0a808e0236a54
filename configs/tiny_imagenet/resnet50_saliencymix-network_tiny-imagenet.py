# A salient-object network of your own, saved by torch.export.save: SMIX_SALIENCY_NETWORK=network.pt2. Its input is
# 224x224, as in the paper. For its other options see smix_mm.saliency.NetworkSaliency; set them as in
# --cfg-options augment.saliency.sigmoid=True
_base_ = "resnet50_saliencymix_tiny-imagenet.py"
data_preprocessor = dict(
    batch_augments=dict(
        augments=dict(
            saliency=dict(
                type="NetworkSaliency",
                model="{{$SMIX_SALIENCY_NETWORK:saliency_network.pt2}}",
                input_size=(224, 224),
            )
        )
    )
)
