#!/usr/bin/env python3
"""Makes the cases in `tests/cases/made`: what the given ones beside them do not cover.

    python3 -m venv torch && torch/bin/pip install torch numpy
    torch/bin/python tests/cases/make.py           # writes tests/cases/made/*.safetensors
    torch/bin/python tests/cases/make.py --check   # checks expected.py and bounds.py against the given cases

Expected values are PyTorch's own float64 results on the stored (rounded) inputs, gradients from its
autograd; `torch_f32_err` is the error of the same calls in float32. FORMAT.md describes the files.
Bounds are explained in bounds.py. `--check` computes the given cases and compares what they store.
"""

import argparse
import math
from pathlib import Path

import numpy
import torch

from bounds import bounds, channels
from expected import FULL_SIZE, channel_axis, expected
from files import read, write

HERE = Path(__file__).resolve().parent
STORED = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def check():
    """What is computed here beside what the given cases store, where that is finite."""
    worst = {}
    for path in sorted(HERE.glob("*.safetensors")):
        tensors, meta = read(path)
        if meta["kind"] in ("population", "moments"):
            continue
        inputs = {name: t for name, t in tensors.items() if not name.startswith(("expect.", "atol."))}
        outputs = {name[7:]: tensor for name, tensor in tensors.items() if name.startswith("expect.")}
        ours = expected(inputs, meta, torch.float64)
        assert ours.keys() >= outputs.keys(), f"{path.stem}: {outputs.keys() - ours.keys()}"
        for name, stored in outputs.items():
            assert torch.equal(stored.isfinite(), ours[name].isfinite()), f"{path.stem}: {name}"
            finite = stored.isfinite()
            off = ((ours[name] - stored)[finite].abs().max() / stored[finite].abs().max().clamp(min=1)).item()
            worst[f"expect.{name}"] = max(worst.get(f"expect.{name}", (0, "")), (off, path.stem))
        for name, (atol, rtol) in bounds(inputs, outputs, meta).items():
            stored = tensors[f"atol.{name}"].double()
            clean = channels(inputs["x"], meta).isfinite().all(1) if len(atol) > 1 else ...
            off = ((atol - stored).abs() / stored.clamp(min=1e-30))[clean].max().item()
            off = max(off, abs(rtol - float(meta[f"rtol.{name}"])))
            worst[f"atol.{name}"] = max(worst.get(f"atol.{name}", (0, "")), (off, path.stem))
    for name, (off, case) in sorted(worst.items()):
        print(f"{name:<20} differs by at most {off:.1e}, in {case}")
        # Expected values are stored in float64, bounds in float32.
        limit = 1e-10 if name.startswith("expect.") else 1e-6
        assert off < limit, f"{name} is not that of the given cases"


class Draw:
    """Random inputs, rounded to what is stored."""

    def __init__(self, seed, meta):
        self.random, self.meta = numpy.random.default_rng(seed), meta

    def full(self, shape, scale=1.0, mean=0.0):
        values = torch.from_numpy(self.random.standard_normal(shape) * scale + mean)
        return values.to(STORED[self.meta["dtype"]])

    def channel(self, count, low, high):
        return torch.from_numpy(self.random.uniform(low, high, count)).float()

    def positions(self, shape):
        """`[N, spatial…]`, 1 at three of five."""
        sizes = [size for axis, size in enumerate(shape) if axis != channel_axis(self.meta) % len(shape)]
        return torch.from_numpy(self.random.random(sizes) < 0.6)


def draw(seed, meta, shape, residual=False, x_scale=1.0, dy_scale=1.0):
    source, count = Draw(seed, meta), shape[channel_axis(meta)]
    inputs = {
        "x": source.full(shape, x_scale, 0.3 * x_scale),
        "dy": source.full(shape, dy_scale),
        "weight": source.channel(count, 0.1, 2.0),
        "bias": source.channel(count, -1.0, 1.0),
    }
    if meta["kind"] in ("step", "sync", "double_backward"):
        inputs |= {"running_mean": source.channel(count, -0.8, 0.8)}
        inputs |= {"running_var": source.channel(count, 0.3, 1.7)}
    if residual:
        inputs["residual"] = source.full(shape)
    return inputs, source


def kinks(inputs, meta):
    """Whether a ReLU's argument is so close to 0 that its rounding may decide about the gradient."""
    if meta.get("activation") != "relu" or meta.get("order") == "pre":
        return False
    argument = expected(inputs, meta | {"activation": "none"}, torch.float64)["y"]
    argument = argument.abs()[argument != 0]
    return bool((argument < 1e-4).any())


def make(name, meta, shape, change=None, **options):
    if meta["kind"] == "step":
        meta = {"activation": "none", "order": "post", "stats": "batch", "num_batches_tracked": "0"} | meta
    if meta["kind"] in ("step", "ghost"):
        meta = {"momentum": "0.1"} | meta
    meta = {"layout": "channels_first", "dtype": "f32", "eps": "1e-05"} | meta
    for attempt in range(100):
        seed = [attempt, *name.encode()]
        inputs, source = draw(seed, meta, shape, **options)
        if change:
            change(inputs, source)
        if not kinks(inputs, meta):
            break
    else:
        raise AssertionError(f"{name}: every draw has an argument next to a kink")
    outputs = expected(inputs, meta, torch.float64)
    single = expected(inputs, meta, torch.float32)
    meta = meta | counts(outputs, meta)
    tensors, shares = dict(inputs), []
    for output, (atol, rtol) in bounds(inputs, outputs, meta).items():
        value = outputs[output]
        if meta.get("expect.num_batches_skipped") == "1" and output.startswith("running"):
            atol, rtol = torch.zeros(1), 0.0
        tensors[f"expect.{output}"], tensors[f"atol.{output}"] = value, atol.float()
        meta[f"rtol.{output}"] = f"{rtol:.9e}"
        error = (single[output].double() - value).abs()
        meta[f"torch_f32_err.{output}"] = f"{error[value.isfinite()].max().item():.9e}"
        shares.append(f"{output} {share(output, single[output], value, atol, rtol, meta):.2f}")
    write(HERE / "made" / f"{name}.safetensors", tensors, meta)
    print(f"{name}: {', '.join(shares)}")


def counts(outputs, meta):
    """The metadata that expects numbers of batches."""
    if meta["kind"] != "step":
        return {}
    count, found = int(meta["num_batches_tracked"]) + int("running_mean" in outputs), {}
    if meta.get("update") == "guarded":
        skipped = int(not outputs["batch_var"].isfinite().all())
        count, found = count - skipped, {"expect.num_batches_skipped": str(skipped)}
    return found | {"expect.num_batches_tracked": str(count)}


def share(output, single, value, atol, rtol, meta):
    """How much of the bound PyTorch's float32 result needs, stored in 16 bits where the case does."""
    if output in FULL_SIZE:
        single = single.to(STORED[meta["dtype"]])
        if len(atol) > 1 and channel_axis(meta) == 1:
            atol = atol.reshape(-1, *[1] * (value.dim() - 2))
    finite = value.isfinite()
    assert torch.equal(single.isfinite(), finite), f"{output} overflows"
    error, bound = (single.double() - value).abs(), atol + rtol * value.abs()
    largest = (error[finite] / (bound.expand(value.shape)[finite] + 1e-300)).max().item()
    assert largest <= 1, f"{output} is beyond its bound in float32"
    return largest


LAST = {"layout": "channels_last"}
STEP = {"kind": "step"}


def with_mask(hidden):
    """Adds a mask of three in five; what it hides is `hidden` here and there, if that is given."""

    def change(inputs, source):
        mask = source.positions(inputs["x"].shape)
        inputs["mask"] = mask.float()
        if hidden is not None:
            axis = channel_axis(source.meta)
            for name in ("x", "dy", "residual"):
                if name in inputs:
                    inputs[name].movedim(axis, -1)[~mask] = hidden

    return change


def with_inf(inputs, _):
    inputs["x"][1, 2, 0, 1] = math.inf


def with_seeds(inputs, source):
    inputs["ddx"] = source.full(inputs["x"].shape)
    inputs["ddweight"] = source.channel(len(inputs["weight"]), -1.0, 1.0)
    inputs["ddbias"] = source.channel(len(inputs["weight"]), -1.0, 1.0)


def main():
    torch.set_num_threads(1)
    for dtype in ("f16", "bf16"):
        of = {**STEP, "dtype": dtype}
        make(f"{dtype}_relu_residual", {**of, "activation": "relu"}, [4, 6, 5, 5], residual=True)
        make(f"{dtype}_gelu_residual", {**of, **LAST, "activation": "gelu"}, [4, 5, 5, 6], residual=True)
        make(f"{dtype}_silu_residual", {**of, **LAST, "activation": "silu"}, [3, 5, 3, 7], residual=True)
        # An odd number of elements in all, in a row and in a sample: no pair of elements ends with one.
        make(f"{dtype}_odd_first", of, [3, 5, 7, 3])
        make(f"{dtype}_odd_last", {**of, **LAST}, [5, 9, 3])
        make(f"{dtype}_odd_features", {**of, "activation": "relu"}, [9, 7])
    f16 = {**STEP, "dtype": "f16"}
    make("f16_silu_before", {**f16, "activation": "silu", "order": "pre"}, [4, 6, 5, 5])
    make("f16_relu_before", {**f16, **LAST, "activation": "relu", "order": "pre"}, [3, 7, 3, 5])
    # dy * h and the sums are far beyond 65,504, the largest number of f16; dx is not.
    make("f16_large_gradients", f16, [4, 5, 5, 5], x_scale=60.0, dy_scale=15_000.0)
    masked_relu = {"kind": "masked", **LAST, "activation": "relu", "order": "post"}
    make("f16_masked", {"kind": "masked", "dtype": "f16"}, [5, 3, 23], with_mask(None))
    make("masked_relu_residual", masked_relu, [3, 6, 6, 5], with_mask(math.nan), residual=True)
    make("bf16_ghost", {"kind": "ghost", "group": "3", "dtype": "bf16"}, [6, 5, 3, 5])
    uneven = {"kind": "ghost", "group": "3", **LAST, "activation": "silu", "order": "post"}
    make("ghost_silu_uneven", uneven, [7, 4, 4, 5])
    guarded = {**STEP, "update": "guarded", "num_batches_tracked": "5"}
    make("guarded_inf", guarded, [3, 4, 3, 5], with_inf, residual=True)
    make("guarded_finite", guarded, [3, 4, 3, 5], residual=True)
    running = {**STEP, "stats": "running", "update": "moving_average", "num_batches_tracked": "2"}
    make("running_update", running, [4, 6, 5, 3], residual=True)
    double = {"kind": "double_backward", "stats": "running"}
    make("double_backward_running", double, [4, 5, 4, 4], with_seeds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Makes the cases in tests/cases/made.")
    parser.add_argument("--check", action="store_true", help="check against the given cases instead")
    check() if parser.parse_args().check else main()
