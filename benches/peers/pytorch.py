#!/usr/bin/env python3
"""PyTorch's batch normalization, timed on the shapes of the benchmark, float32.

Three passes: `forward` (training, with the update of the running statistics), `backward` (the
gradients of x, weight and bias from a given gradient of y) and `forward_eval`. Both memory formats:
`--layout channels_last` takes the same sizes, N,C and spatial, and lays them out as NHWC.

On the CPU every result is new memory, so large shapes time the system's page faults too. To leave
them out: MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000 (glibc).
"""

import argparse
import json
import platform
import statistics
import time

import torch
from torch.nn import functional

SHAPES = {"quick": [[64, 64, 56, 56], [32, 256, 14, 14], [64, 512, 7, 7]]}
LAYOUTS = ["channels_first", "channels_last"]
MEMORY_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
EPS, MOMENTUM = 1e-5, 0.1
WARM_UP = 3


def sizes_of(text):
    try:
        sizes = [int(size) for size in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}', expected sizes like 64,64,56,56") from None
    if not 2 <= len(sizes) <= 5 or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"'{text}', expected 2 to 5 sizes of at least 1")
    return sizes


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", choices=SHAPES, default="quick", help="a list of shapes by its name")
    parser.add_argument("--shape", type=sizes_of, action="append", help="one shape, N,C and spatial sizes; repeatable")
    parser.add_argument("--layout", choices=LAYOUTS, action="append", help="repeatable; both without it")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, help="threads on the CPU; PyTorch's choice without it")
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--json", help="write the rows to this file")
    return parser.parse_args()


def laid_out(tensor, layout):
    """`tensor` in `layout`; PyTorch has channels_last for 4 and 5 axes, [N, C] is both at once."""
    if layout == "channels_first" or tensor.dim() == 2:
        return tensor.contiguous()
    if tensor.dim() == 3:  # [N, C, L]: N, L, C in memory
        return tensor.transpose(1, 2).contiguous().transpose(1, 2)
    return tensor.contiguous(memory_format=MEMORY_FORMATS[tensor.dim()])


def timed(run, device):
    """Milliseconds of one `run`; its result is freed after the clock has stopped."""
    if device == "cuda":
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        result = run()
        end.record()
        end.synchronize()
        del result
        return start.elapsed_time(end)
    start = time.perf_counter()
    result = run()
    elapsed = 1e3 * (time.perf_counter() - start)
    del result
    return elapsed


def passes(sizes, layout, device):
    """The name of each pass and a function that runs it once."""
    channels = sizes[1]
    generator = torch.Generator(device).manual_seed(1)
    x, dy = (torch.randn(sizes, generator=generator, device=device) for _ in range(2))
    x, dy = laid_out(2 * x + 0.5, layout), laid_out(dy, layout)
    weight, bias = torch.ones(channels, device=device), torch.zeros(channels, device=device)
    mean, var = torch.zeros(channels, device=device), torch.ones(channels, device=device)

    leaves = [tensor.detach().requires_grad_() for tensor in (x, weight, bias)]

    def forward():
        return functional.batch_norm(leaves[0], mean, var, leaves[1], leaves[2], True, MOMENTUM, EPS)

    def forward_eval():
        with torch.no_grad():
            return functional.batch_norm(x, mean, var, weight, bias, False, MOMENTUM, EPS)

    y = forward()

    def backward():
        return torch.autograd.grad(y, leaves, dy, retain_graph=True)

    return [("forward", forward), ("backward", backward), ("forward_eval", forward_eval)]


def adapter_of(device):
    if device == "cuda":
        return torch.cuda.get_device_name()
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {capability}, {torch.get_num_threads()} threads"


def main():
    args = arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    peer = f"PyTorch {torch.__version__} {args.device}"
    adapter = adapter_of(args.device)
    rows = []
    print(f"{peer} on {adapter}, f32")
    print(f"{'shape':<22} {'layout':<14} {'pass':<12} {'median ms':>11} {'min ms':>11} {'max ms':>11}")
    for sizes in args.shape or SHAPES[args.shapes]:
        for layout in args.layout or LAYOUTS:
            for name, run in passes(sizes, layout, args.device):
                times = [timed(run, args.device) for _ in range(WARM_UP + args.repetitions)][WARM_UP:]
                row = {"shape": sizes, "layout": layout, "pass": name, "median_ms": statistics.median(times)}
                row |= {"min_ms": min(times), "max_ms": max(times)}
                rows.append(row)
                figures = " ".join(f"{row[key]:>11.3f}" for key in ("median_ms", "min_ms", "max_ms"))
                print(f"{str(sizes):<22} {layout:<14} {name:<12} {figures}", flush=True)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"peer": peer, "adapter": adapter, "rows": rows}, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    main()
