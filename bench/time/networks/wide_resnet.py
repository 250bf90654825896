"""WideResNet-28-10 for CIFAR-10, convolutions with biases, dropout 0.3.

Source: meliketoy/wide-resnet.pytorch, networks/wide_resnet.py.
"""

from torch import nn
from torch.nn import functional


class Wide(nn.Module):
    def __init__(self, inner, outer, stride):
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(inner), nn.BatchNorm2d(outer)
        self.conv1 = nn.Conv2d(inner, outer, 3, padding=1)
        self.conv2 = nn.Conv2d(outer, outer, 3, stride=stride, padding=1)
        self.drop = nn.Dropout(0.3)
        self.shortcut = nn.Sequential()
        if stride != 1 or inner != outer:
            self.shortcut = nn.Conv2d(inner, outer, 1, stride=stride)

    def forward(self, x):
        found = self.drop(self.conv1(functional.relu(self.norm1(x))))
        return self.conv2(functional.relu(self.norm2(found))) + self.shortcut(x)


class WideResNet(nn.Module):
    def __init__(self, blocks=4, widths=(16, 160, 320, 640), classes=10):
        super().__init__()
        self.first = nn.Conv2d(3, widths[0], 3, padding=1)
        layers, inner = [], widths[0]
        for number, outer in enumerate(widths[1:]):
            for block in range(blocks):
                layers.append(Wide(inner, outer, 2 if block == 0 and number else 1))
                inner = outer
        self.layers = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(inner)
        self.head = nn.Linear(inner, classes)

    def forward(self, x):
        x = functional.relu(self.norm(self.layers(self.first(x))))
        return self.head(functional.avg_pool2d(x, 8).flatten(1))
