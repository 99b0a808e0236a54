"""ResNet-18 with SaliencyMix in plain PyTorch: python examples/plain_pytorch.py FOLDER

The folder contains image files of 32x32 pixels in train/<class>/ and test/<class>/. For CIFAR-10's official files, use
torchvision.datasets.CIFAR10(root, train) in place of ImageFolder.
"""

import sys

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.models import resnet18
from torchvision.transforms import v2

from smix_mm import SaliencyMixCollate

folder, epochs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200
pixels = dict(mean=[0.491, 0.482, 0.447], std=[0.247, 0.243, 0.262])
to_tensor = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(**pixels)]
train_set = ImageFolder(f"{folder}/train", v2.Compose([v2.RandomCrop(32, 4), v2.RandomHorizontalFlip(), *to_tensor]))
test_set = ImageFolder(f"{folder}/test", v2.Compose(to_tensor))
collate = SaliencyMixCollate(len(train_set.classes), prob=0.5, **pixels)
train_loader = DataLoader(train_set, 128, shuffle=True, num_workers=2, collate_fn=collate)
test_loader = DataLoader(test_set, 256, num_workers=2)
device = "cuda" if torch.cuda.is_available() else "cpu"
model = resnet18(num_classes=len(train_set.classes)).to(device)
optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
for epoch in range(1, epochs + 1):
    for images, targets in train_loader:
        loss = cross_entropy(model.train()(images.to(device)), targets.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    schedule.step()
    with torch.no_grad():
        right = [(model.eval()(images.to(device)).argmax(1).cpu() == labels).float() for images, labels in test_loader]
    print(f"epoch {epoch}: loss {loss.item():.4f}, test accuracy {100 * torch.cat(right).mean():.1f} %", flush=True)
