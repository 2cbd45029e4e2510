#!/usr/bin/env python3
"""Loads a file into the module strictly, and prints the state of its batch normalization as JSON.

    load.py FILE

All other tensors of FILE must be those of `pytorch.safetensors`. Needs torch, numpy and safetensors.
"""

import json
import sys
from pathlib import Path

import torch
from net import net
from safetensors import safe_open
from safetensors.torch import load_file

ORIGINAL = Path(__file__).resolve().parent / "pytorch.safetensors"

module = net()
print(module.load_state_dict(load_file(sys.argv[1]), strict=True), file=sys.stderr)
original = load_file(ORIGINAL)
state = module.state_dict()
for name, tensor in original.items():
    assert state[name].dtype == tensor.dtype and state[name].shape == tensor.shape, name
    assert "bn" in name or torch.equal(state[name], tensor), name
with safe_open(sys.argv[1], "pt") as ours, safe_open(ORIGINAL, "pt") as theirs:
    assert ours.metadata() == theirs.metadata(), ours.metadata()
module.eval()
assert module(torch.ones(1, 2, 5, 5)).isfinite().all()
print(json.dumps({name: tensor.tolist() for name, tensor in state.items() if "bn" in name}))
