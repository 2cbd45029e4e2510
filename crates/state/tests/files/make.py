#!/usr/bin/env python3
"""Makes `pytorch.safetensors`, state as PyTorch saves it.

    python3 -m venv torch && torch/bin/pip install torch numpy safetensors
    torch/bin/python crates/state/tests/files/make.py
"""

from pathlib import Path

import torch
from net import net
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent

module = net()
generator = torch.Generator().manual_seed(1)
with torch.no_grad():
    for parameter in module.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator))
    # Three batches, and one more of the block alone, for the counts.
    for _ in range(3):
        module(torch.randn(2, 2, 5, 5, generator=generator))
    module.layer1(torch.randn(2, 4, 5, 5, generator=generator))
    # Values that the tests know.
    module.bn1.weight.copy_(torch.tensor([1.0, 0.5, -2.0, 0.1]))
    module.bn1.bias.copy_(torch.tensor([0.0, -0.25, 3.0, 1e-30]))
    module.bn1.running_mean.copy_(torch.tensor([0.125, -1.5, 100.0, 0.0]))
    module.bn1.running_var.copy_(torch.tensor([1.0, 0.75, 12.5, 1e-12]))
    module.layer1[0].bn.running_mean.copy_(torch.tensor([-1.0, 2.0, 0.3]))
    module.layer1[0].bn.running_var.copy_(torch.tensor([0.9, 4.0, 2.5]))
save_file(module.state_dict(), HERE / "pytorch.safetensors", metadata={"format": "pt", "epoch": "3"})
