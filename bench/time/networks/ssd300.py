"""SSD300 on ResNet-50, with its loss.

Source: NVIDIA/DeepLearningExamples, PyTorch/Detection/SSD/ssd/model.py (layers, channels, numbers
of default boxes; the fourth block of ResNet-50 left out, the third without stride).
"""

import torch
import torchvision
from torch import nn

CHANNELS = [1024, 512, 512, 256, 256, 256]
MIDDLE = [256, 256, 128, 128, 128]
BOXES = [4, 6, 6, 6, 4, 4]
LABELS = 81
BOXES_OF_ALL = 8732


class SSD300(nn.Module):
    def __init__(self):
        super().__init__()
        whole = torchvision.models.resnet50()
        first = whole.layer3[0]
        first.conv1.stride = first.conv2.stride = first.downsample[0].stride = (1, 1)
        self.extractor = nn.Sequential(*list(whole.children())[:7])
        self.more = nn.ModuleList()
        for number, middle in enumerate(MIDDLE):
            place = {"padding": 1, "stride": 2} if number < 3 else {}
            self.more.append(
                nn.Sequential(
                    nn.Conv2d(CHANNELS[number], middle, 1, bias=False),
                    nn.BatchNorm2d(middle),
                    nn.ReLU(inplace=True),
                    nn.Conv2d(middle, CHANNELS[number + 1], 3, bias=False, **place),
                    nn.BatchNorm2d(CHANNELS[number + 1]),
                    nn.ReLU(inplace=True),
                )
            )
        pairs = list(zip(BOXES, CHANNELS, strict=True))
        self.places = nn.ModuleList(nn.Conv2d(c, n * 4, 3, padding=1) for n, c in pairs)
        self.labels = nn.ModuleList(nn.Conv2d(c, n * LABELS, 3, padding=1) for n, c in pairs)

    def forward(self, images):
        x = self.extractor(images)
        seen = [x]
        for block in self.more:
            x = block(x)
            seen.append(x)
        places = [
            head(x).reshape(x.size(0), 4, -1) for head, x in zip(self.places, seen, strict=True)
        ]
        labels = [
            head(x).reshape(x.size(0), LABELS, -1)
            for head, x in zip(self.labels, seen, strict=True)
        ]
        return torch.cat(places, 2), torch.cat(labels, 2)


def ssd_loss(places, labels, wanted_places, wanted):
    """Smooth L1 of the places, cross-entropy of the labels with the hardest negatives."""
    mask = wanted > 0
    positives = mask.sum(dim=1)
    smooth = nn.functional.smooth_l1_loss(places, wanted_places, reduction="none").sum(dim=1)
    place_loss = (mask.float() * smooth).sum(dim=1)
    entropy = nn.functional.cross_entropy(labels, wanted, reduction="none")
    negative = entropy.clone()
    negative[mask] = 0
    _, order = negative.sort(dim=1, descending=True)
    _, rank = order.sort(dim=1)
    hardest = rank < torch.clamp(3 * positives, max=mask.size(1)).unsqueeze(-1)
    label_loss = (entropy * ((mask + hardest) > 0).float()).sum(dim=1)
    return ((place_loss + label_loss) / positives.float().clamp(min=1e-6)).mean()
