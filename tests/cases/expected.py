"""What a case expects: PyTorch's results on its inputs, in any floating-point type."""

import torch
from torch.nn import functional

FULL_SIZE = ("y", "dx", "dresidual", "grad_dy", "grad_x")
ACTIVATIONS = {
    "none": lambda v, slope: v,
    "relu": lambda v, slope: torch.relu(v),
    "leaky_relu": functional.leaky_relu,
    "silu": lambda v, slope: functional.silu(v),
    "gelu": lambda v, slope: functional.gelu(v),
    "gelu_tanh": lambda v, slope: functional.gelu(v, approximate="tanh"),
    "sigmoid": lambda v, slope: torch.sigmoid(v),
    "tanh": lambda v, slope: torch.tanh(v),
}


def activation(meta):
    slope = float(meta.get("negative_slope", "0.01"))
    return lambda v: ACTIVATIONS[meta.get("activation", "none")](v, slope)


def channel_axis(meta):
    return -1 if meta["layout"] == "channels_last" else 1


def expected(inputs, meta, dtype):
    """The expected outputs by name, in the file's layout, computed by PyTorch in `dtype`."""
    axis = channel_axis(meta)
    values = {
        # Channels first for PyTorch; the mask has no channels.
        name: (tensor.to(dtype) if tensor.dim() == 1 or name == "mask" else tensor.to(dtype).movedim(axis, 1))
        for name, tensor in inputs.items()
    }
    for name in ("x", "dy", "weight", "bias", "residual"):
        if name in values:
            values[name] = values[name].detach().clone().requires_grad_()
    outputs = {"double_backward": double_backward, "masked": masked, "ghost": ghost}.get(
        meta["kind"], step
    )(values, meta)
    outputs = {name: value.detach() for name, value in outputs.items()}
    return {name: t.movedim(1, axis) if name in FULL_SIZE else t for name, t in outputs.items()}


def fused(x, residual, meta, norm):
    act = activation(meta)
    if meta.get("order", "post") == "pre":
        return norm(act(x))
    y = norm(x)
    return act(y if residual is None else y + residual)


def gradients(y, values, dy):
    """dx, dweight, dbias and dresidual, as far as there is something they belong to."""
    names = [name for name in ("x", "weight", "bias", "residual") if name in values]
    grads = torch.autograd.grad(y, [values[name] for name in names], dy)
    return {"d" + name: grad for name, grad in zip(names, grads)}


def step(values, meta):
    x, eps = values["x"], float(meta["eps"])
    momentum = meta["momentum"]
    count = int(meta["num_batches_tracked"])
    factor = 1 / (count + 1) if momentum == "cumulative" else float(momentum)
    stats, update = meta["stats"], meta.get("update")
    updates = stats == "batch" if update is None else update != "none"
    mean, var = values.get("running_mean"), values.get("running_var")
    if stats == "batch":
        held = (None, None)
    else:
        held = (mean, var) if stats == "running" else (values["given_mean"], values["given_var"])
        held = tuple(tensor.clone() for tensor in held)
    norm = lambda u: functional.batch_norm(  # noqa: E731
        u, *held, values.get("weight"), values.get("bias"), training=stats == "batch", eps=eps
    )
    y = fused(x, values.get("residual"), meta, norm)
    outputs = {"y": y, **gradients(y, values, values["dy"])}
    u = (activation(meta)(x) if meta["order"] == "pre" else x).detach()
    axes = [axis for axis in range(u.dim()) if axis != 1]
    if stats == "batch":
        outputs |= {"batch_mean": u.mean(axes), "batch_var": u.var(axes, unbiased=False)}
    if mean is not None and updates:
        mean, var = mean.clone(), var.clone()
        finite = bool(torch.isfinite(u.mean(axes)).all() and torch.isfinite(u.var(axes)).all())
        if update != "guarded" or finite:
            functional.batch_norm(u, mean, var, training=True, momentum=factor, eps=eps)
        outputs |= {"running_mean": mean, "running_var": var}
    return outputs


def masked(values, meta):
    """What the mask shows is a batch of its own: `[positions, C]`."""
    shown = values["mask"] == 1
    pick = lambda name: values[name].movedim(1, -1)[shown]  # noqa: E731
    part = {name: pick(name).detach().requires_grad_() for name in ("x", "residual") if name in values}
    part |= {name: values[name] for name in ("weight", "bias") if name in values}
    norm = lambda u: functional.batch_norm(  # noqa: E731
        u, None, None, part.get("weight"), part.get("bias"), training=True, eps=float(meta["eps"])
    )
    y = fused(part["x"], part.get("residual"), meta, norm)
    outputs = {"y": y, **gradients(y, part, pick("dy"))}
    u = (activation(meta)(part["x"]) if meta.get("order") == "pre" else part["x"]).detach()
    for name in FULL_SIZE:
        if name in outputs:
            whole = torch.zeros_like(values["x"].movedim(1, -1)).detach()
            whole[shown] = outputs[name].detach()
            outputs[name] = whole.movedim(-1, 1)
    return outputs | {"batch_mean": u.mean(0), "batch_var": u.var(0, unbiased=False)}


def ghost(values, meta):
    x, dtype = values["x"], values["x"].dtype
    mean, var = torch.zeros(x.shape[1], dtype=dtype), torch.ones(x.shape[1], dtype=dtype)
    norm = lambda u: functional.batch_norm(  # noqa: E731
        u,
        mean,
        var,
        values.get("weight"),
        values.get("bias"),
        training=True,
        momentum=float(meta["momentum"]),
        eps=float(meta["eps"]),
    )
    size = int(meta["group"])
    residuals = values["residual"].split(size) if "residual" in values else [None] * len(x)
    y = torch.cat([fused(part, residual, meta, norm) for part, residual in zip(x.split(size), residuals)])
    return {"y": y, **gradients(y, values, values["dy"]), "running_mean": mean, "running_var": var}


def double_backward(values, meta):
    batch = meta["stats"] == "batch"
    held = (None, None) if batch else (values["running_mean"], values["running_var"])
    x, dy, weight, bias = (values[name] for name in ("x", "dy", "weight", "bias"))
    y = functional.batch_norm(x, *held, weight, bias, training=batch, eps=float(meta["eps"]))
    grads = torch.autograd.grad(y, (x, weight, bias), dy, create_graph=True)
    seeds = (values["ddx"], values["ddweight"], values["ddbias"])
    loss = sum((grad * seed).sum() for grad, seed in zip(grads, seeds))
    grads = torch.autograd.grad(loss, (dy, x, weight))
    return dict(zip(("grad_dy", "grad_x", "grad_weight"), grads))
