# A salient-object network of your own, as torch.export.save writes it: SMIX_SALIENCY_NETWORK=network.pt2. It looks at
# 224x224, as the paper's did; what else it wants is at smix_mm.saliency.NetworkSaliency, such as
# --cfg-options data_preprocessor.batch_augments.augments.saliency.sigmoid=True
_base_ = "resnet18_saliencymix.py"
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
