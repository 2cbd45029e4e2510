"""The bounds of a case.

They are those of the given cases, which `make.py --check` compares. With e = 2^-24, u what is
normalized (x, or act(x) with order = pre), s its standard deviation, h the normalized values, g the scale,
b the offset, r the residual, everything per channel:

    y             16 e k (max|g h| + |b| + max|r|) + [pre] 12 e |g|/s max|u|
    dbias          8 e m sum(d)
    dweight        8 e m sum(d (1 + |h|))
    dx            32 e m |g|/s (max d + [batch statistics] (mean(d) + max|h| mean(d |h|)))
                     * [pre] (max|act'| + 1/4)
    dresidual     64 e max|dy|, and relative 2 e
    batch_mean     8 e (s + [pre] max|u|), and relative 2 e
    batch_var     1e-24 max x^2 + [pre] 8 e s max|u|, and relative 2e-6
    running_mean   8 e (|before| + s), and relative 4 e
    running_var    4 e |before|, and relative 4e-6

where a term or factor after [ ] is there only in that case; k = 3/2 and m = 3 with an activation, else 1; d = |dy| max(|act'|, 1/4) with order = post, else |dy|.
What is stored in 16 bits may be off by its rounding too: relative 1.05 * 2^-11 (f16) or 1.05 * 2^-8 (bf16),
and absolute 2^-24 more for f16, whose subnormal numbers are that far apart. Outputs of the kinds masked
and ghost get 64 e k max|expected| (gradients with m for k), those of double_backward 256 e max|expected|.
"""

import torch

from expected import FULL_SIZE, activation, channel_axis

E = 2.0**-24
# Relative and absolute, by dtype.
ROUNDING = {"f32": (0.0, 0.0), "f16": (1.05 * 2.0**-11, 2.0**-24), "bf16": (1.05 * 2.0**-8, 0.0)}


def channels(tensor, meta):
    """A tensor of x's shape as `[C, values]` in float64."""
    tensor = tensor.to(torch.float64).movedim(channel_axis(meta), 0)
    return tensor.reshape(tensor.shape[0], -1)


def bounds(inputs, outputs, meta):
    """`(atol, rtol)` for each output."""
    relative, absolute = ROUNDING[meta["dtype"]]
    if meta["kind"] in ("step", "sync"):
        found = bounds_of_step(inputs, meta)
    else:
        found = {}
        has = meta.get("activation", "none") != "none"
        for name, value in outputs.items():
            gradient = name.startswith("d")
            k = (3 if gradient else 1.5) if has and (gradient or name == "y") else 1
            factor = 256 if meta["kind"] == "double_backward" else 64 * k
            found[name] = ((factor * E * value.abs().max()).reshape(1), 0.0)
    for name in FULL_SIZE:
        if name in found:
            atol, rtol = found[name]
            found[name] = (atol + absolute, max(rtol, relative))
    return {name: (atol.nan_to_num(0, 0, 0), rtol) for name, (atol, rtol) in found.items() if name in outputs}


def bounds_of_step(inputs, meta):
    act, pre = activation(meta), meta["order"] == "pre"
    x, dy = channels(inputs["x"], meta), channels(inputs["dy"], meta)
    ones = torch.ones(len(x), dtype=torch.float64)
    g, b = inputs.get("weight", ones).double(), inputs.get("bias", 0 * ones).double()
    r = channels(inputs["residual"], meta) if "residual" in inputs else torch.zeros_like(x)
    u = act(x) if pre else x
    largest = lambda t: t.abs().amax(1)  # noqa: E731
    batch = meta["stats"] == "batch"
    if batch:
        mean, var = u.mean(1), u.var(1, unbiased=False)
    else:
        source = meta["stats"]
        mean, var = inputs[f"{source}_mean"].double(), inputs[f"{source}_var"].double()
    inverse, s = 1 / (var + float(meta["eps"])).sqrt(), u.var(1, unbiased=False).sqrt()
    h = (u - mean[:, None]) * inverse[:, None]
    slope = derivative(act, x if pre else g[:, None] * h + b[:, None] + r).abs()
    d = dy.abs() if pre else dy.abs() * slope.clamp(min=0.25)
    has = meta["activation"] != "none"
    k, m = (1.5, 3) if has else (1, 1)
    scale = (g * inverse).abs()
    reach = largest(d) + (d.mean(1) + largest(h) * (d * h.abs()).mean(1) if batch else 0)
    edge = largest(u) if pre else 0 * ones
    # Where there is no deviation the statistics themselves are no number, and nothing is compared.
    s = s.nan_to_num(0, 0, 0)
    found = {
        "y": (16 * E * k * (largest(g[:, None] * h) + b.abs() + largest(r)) + 12 * E * scale * edge, 0.0),
        "dbias": (8 * E * m * d.sum(1), 0.0),
        "dweight": (8 * E * m * (d * (1 + h.abs())).sum(1), 0.0),
        "dx": (32 * E * m * scale * reach * (largest(slope) + 0.25 if pre else 1), 0.0),
        "dresidual": (64 * E * largest(dy), 2 * E),
        "batch_mean": (8 * E * (s + edge), 2 * E),
        "batch_var": (1e-24 * largest(x) ** 2 + 8 * E * s * edge, 2e-6),
    }
    if "running_mean" in inputs:
        before, variance = inputs["running_mean"].double().abs(), inputs["running_var"].double().abs()
        found |= {"running_mean": (8 * E * (before + s), 4 * E), "running_var": (4 * E * variance, 4e-6)}
    return found


def derivative(function, at):
    at = at.detach().clone().requires_grad_()
    return torch.autograd.grad(function(at).sum(), at)[0]
