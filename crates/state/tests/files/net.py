"""The module behind `pytorch.safetensors`."""

from torch import nn


def net():
    """Two layers of batch normalization, one of them in a block, among what is none."""
    block = nn.Sequential()
    block.add_module("conv", nn.Conv2d(4, 3, 1, bias=False))
    block.add_module("bn", nn.BatchNorm2d(3, affine=False))
    module = nn.Sequential()
    module.add_module("conv1", nn.Conv2d(2, 4, 3))
    module.add_module("bn1", nn.BatchNorm2d(4, momentum=None))
    module.add_module("layer1", nn.Sequential(block))
    return module
