#!/usr/bin/env python3
"""PyTorch's batch normalization, timed on the shapes of the benchmark.

Three passes: `forward` (training, with the update of the running statistics), `backward` (the gradients of
x, weight, bias and residual from a given gradient of y) and `forward_eval`. With --fused the layer ends in
a ReLU, or in the addition of a residual and a ReLU.

Modes: `eager`; `compile` (torch.compile, kernels fused and generated for each shape); and on CUDA both again
as `eager-graph` and `compile-graph`: the steps are recorded in a CUDA graph, so that the time is the device's
alone, as it is for a program that records its dispatches before it submits them.

A time is that of many steps in a row over their number: between two CUDA events, or on the host's clock. The
tensors take turns, inputs and results, until --cache-mib lie between two uses of one, so that no cache holds
them.

On the CPU every result is new memory, so large shapes time the system's page faults too. To leave them out:
MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000 (glibc).
"""

import argparse
import json
import math
import os
import pathlib
import platform
import statistics
import sys
import time

# Each kernel is compiled by itself: workers would have nothing to do, and take seconds to begin and to end.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

import torch
import torch._functorch.config
from torch.nn import functional

# In the repository, and in a bundle.
SHAPES_FILES = [pathlib.Path(__file__).resolve().parent / place / "shapes.json" for place in ("..", ".")]
LAYOUTS = ["channels_first", "channels_last"]
MEMORY_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
FUSED = {"none": ("none", False), "relu": ("relu", False), "add_relu": ("relu", True)}
MODES = {
    "cpu": ["eager", "compile"],
    "cuda": ["eager", "native", "compile", "eager-graph", "native-graph", "compile-graph"],
}
PASSES = ["forward", "backward", "forward_eval"]
EPS, MOMENTUM = 1e-5, 0.1
# Seconds that a measurement takes at least.
LEAST_SECONDS = 0.02
MOST_SETS, MOST_STEPS = 4096, 8192
# Of the free memory, and tensors that a set has: x, dy, residual, y, dx, the residual's gradient, and one more.
MEMORY_SHARE, TENSORS_OF_A_SET = 0.5, 7

# The graph of a forward pass is used again by each backward step.
torch._functorch.config.donated_buffer = False


def shape_sets():
    for file in SHAPES_FILES:
        if file.exists():
            return json.loads(file.read_text(encoding="utf-8"))
    return {}


def shapes_of(one, device):
    """The shapes of a set, on the CPU with fewer samples where the set says so."""
    batch = one.get("batch_on_cpu") if device == "cpu" else None
    return [[batch or shape["sizes"][0], *shape["sizes"][1:]] for shape in one["shapes"]]


def sizes_of(text):
    try:
        sizes = [int(size) for size in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}', expected sizes like 64,64,56,56") from None
    if not 2 <= len(sizes) <= 5 or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"'{text}', expected 2 to 5 sizes of at least 1")
    return sizes


def positive(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}', expected a number from 1 up")
    return int(text)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    several = {"action": "append"}
    sets = shape_sets()
    parser.add_argument("--shapes", choices=sets, help="a list of shapes by its name; quick without it")
    parser.add_argument("--shape", type=sizes_of, **several, help="one shape, N,C and spatial sizes; repeatable")
    parser.add_argument("--batch", type=positive, help="replaces N, the first size of each shape")
    parser.add_argument("--layout", choices=LAYOUTS, **several, help="repeatable; both without it")
    parser.add_argument("--dtype", choices=DTYPES, **several, help="of x, y and gradients; repeatable; f32 without it")
    parser.add_argument("--fused", choices=FUSED, **several, help="what follows; repeatable; none without it")
    parser.add_argument("--mode", choices=MODES["cuda"], **several, help="repeatable; all without it")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=positive, help="threads on the CPU; PyTorch's choice without it")
    parser.add_argument("--repetitions", type=positive, default=11)
    parser.add_argument("--cache-mib", type=positive, default=256, help="MiB between two uses of a tensor")
    parser.add_argument("--warm-cache", action="store_true", help="the same tensors in every step")
    parser.add_argument("--time-limit", type=float, default=math.inf, help="seconds after which nothing is begun")
    parser.add_argument("--json", help="write the rows to this file, after each case")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this PyTorch finds no CUDA device; install a CUDA build, or take --device cpu")
    chosen = sets.get(args.shapes or "quick")
    args.shape = args.shape or (shapes_of(chosen, args.device) if chosen else None)
    if not args.shape:
        parser.error("there is no shapes.json beside this script: name the shapes with --shape")
    if args.batch:
        args.shape = [[args.batch, *sizes[1:]] for sizes in args.shape]
    args.mode = [mode for mode in args.mode or MODES[args.device] if mode in MODES[args.device]]
    if not args.mode:
        parser.error(f"--mode: expected one of {', '.join(MODES[args.device])} with --device {args.device}")
    return args


def laid_out(tensor, layout):
    """`tensor` in `layout`; PyTorch has channels_last for 4 and 5 axes, [N, C] is both at once."""
    if layout == "channels_first" or tensor.dim() == 2:
        return tensor.contiguous()
    if tensor.dim() == 3:  # [N, C, L]: N, L, C in memory
        return tensor.transpose(1, 2).contiguous().transpose(1, 2)
    return tensor.contiguous(memory_format=MEMORY_FORMATS[tensor.dim()])


def copies(tensor, count):
    """`count` copies of `tensor`, each laid out as it is, in one piece of memory."""
    strides = (tensor.numel(), *tensor.stride())
    memory = torch.empty_strided((count, *tensor.shape), strides, dtype=tensor.dtype, device=tensor.device)
    memory.copy_(tensor.expand(count, *tensor.shape))
    return list(memory.unbind())


def free_bytes(device):
    if device == "cuda":
        torch.cuda.empty_cache()
        return torch.cuda.mem_get_info()[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def sets_for(tensor_bytes, cache_bytes, device):
    """Sets of tensors that take turns: a pass reads one tensor and writes one."""
    affordable = int(MEMORY_SHARE * free_bytes(device) / (TENSORS_OF_A_SET * tensor_bytes))
    wanted = math.ceil(cache_bytes / (2 * tensor_bytes))
    return max(1, min(wanted, affordable, MOST_SETS))


class Case:
    """One layer with tensors for so many turns."""

    def __init__(self, sizes, layout, dtype, fused, device, sets):
        self.sets, (self.activation, self.residual) = sets, FUSED[fused]
        generator = torch.Generator(device).manual_seed(1)

        def normal(scale, offset):
            values = scale * torch.randn(sizes, generator=generator, device=device) + offset
            return copies(laid_out(values.to(DTYPES[dtype]), layout), sets)

        channels = sizes[1]
        # Parameters and statistics are float32, whatever x is.
        self.weight, self.bias = (
            tensor.requires_grad_() for tensor in (torch.ones(channels, device=device), torch.zeros(channels, device=device))
        )
        self.mean, self.var = torch.zeros(channels, device=device), torch.ones(channels, device=device)
        self.x = [x.detach().requires_grad_() for x in normal(2, 0.5)]
        self.dy = normal(1, 0)
        self.added = [z.detach().requires_grad_() for z in normal(1, 0)] if self.residual else [None] * sets

    def layer(self, x, added, training):
        y = functional.batch_norm(x, self.mean, self.var, self.weight, self.bias, training, MOMENTUM, EPS)
        if added is not None:
            y = y + added
        return functional.relu(y) if self.activation == "relu" else y

    def run(self, which, compiled):
        """A function that does the pass on the tensors of one turn."""
        layer = torch.compile(self.layer, dynamic=False) if compiled else self.layer
        if which == "forward":
            return lambda turn: layer(self.x[turn], self.added[turn], True)
        if which == "forward_eval":

            def forward_eval(turn):
                with torch.no_grad():
                    return layer(self.x[turn], self.added[turn], False)

            return forward_eval
        outputs = [layer(x, added, True) for x, added in zip(self.x, self.added)]
        shared = [self.weight, self.bias]
        leaves = [shared + [x] + ([] if added is None else [added]) for x, added in zip(self.x, self.added)]
        return lambda turn: torch.autograd.grad(outputs[turn], leaves[turn], self.dy[turn], retain_graph=True)


class Loop:
    """Steps of a pass in a row; the results of all turns are kept, so that each writes to other memory."""

    def __init__(self, run, sets):
        self.run, self.sets, self.results = run, sets, [None] * sets

    def __call__(self, steps):
        for step in range(steps):
            turn = step % self.sets
            self.results[turn] = self.run(turn)


def seconds_of(work, device):
    if device == "cpu":
        start = time.perf_counter()
        work()
        return time.perf_counter() - start
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    work()
    end.record()
    end.synchronize()
    return 1e-3 * start.elapsed_time(end)


def measured(case, which, mode, device, repetitions):
    """Milliseconds of a step, one for each repetition, and the number of steps in a row."""

    def prepared():
        loop = Loop(case.run(which, mode.startswith("compile")), case.sets)
        loop(max(3, case.sets))
        return loop

    graph = mode.endswith("-graph")
    stream = torch.cuda.Stream() if graph else None
    if graph:
        # Backward runs on the stream that forward ran on, and a capture takes in one stream.
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            loop = prepared()
        torch.cuda.synchronize()
    else:
        loop = prepared()
    # Whole rounds, so that the distance between two uses of a tensor is always the same.
    estimate = max(1e-7, seconds_of(lambda: loop(case.sets), device))
    steps = case.sets * max(1, min(math.ceil(LEAST_SECONDS / estimate), MOST_STEPS // case.sets))
    work = lambda: loop(steps)
    if graph:
        recorded = torch.cuda.CUDAGraph()
        with torch.cuda.graph(recorded, stream=stream):
            loop(steps)
        work = recorded.replay
    for _ in range(2):
        seconds_of(work, device)
    return [1e3 * seconds_of(work, device) / steps for _ in range(repetitions)], steps


def adapter_of(device):
    if device == "cuda":
        return torch.cuda.get_device_name()
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {capability}, {torch.get_num_threads()} threads"


class Record:
    """All rows of a run, as a table and as the JSON that all peers write."""

    def __init__(self, args):
        self.path = args.json
        self.peer, self.adapter = f"PyTorch {torch.__version__} {args.device}", adapter_of(args.device)
        self.clock = "CUDA events around many steps" if args.device == "cuda" else "host, around many steps"
        self.rows, self.notes = [], []
        self.deadline = time.monotonic() + args.time_limit
        print(f"{self.peer} on {self.adapter}")
        head = f"{'shape':<22} {'layout':<14} {'type':<4} {'fused':<8} {'mode':<13} {'pass':<12}"
        print(f"{head} {'median ms':>10} {'min ms':>10} {'max ms':>10}", flush=True)

    def is_late(self):
        return time.monotonic() > self.deadline

    def add(self, labels, fused, times, steps, sets):
        median = statistics.median(times)
        quartiles = statistics.quantiles(times, method="inclusive") if len(times) > 1 else [median] * 3
        activation, residual = FUSED[fused]
        row = labels | {"activation": activation, "residual": residual, "median_ms": median, "min_ms": min(times)}
        row |= {"max_ms": max(times), "spread": (quartiles[2] - quartiles[0]) / median, "steps": steps, "sets": sets}
        self.rows.append(row)
        names = f"{labels['layout']:<14} {labels['dtype']:<4} {fused:<8} {labels['variant']:<13} {labels['pass']:<12}"
        figures = " ".join(f"{row[key]:>10.4f}" for key in ("median_ms", "min_ms", "max_ms"))
        print(f"{str(labels['shape']):<22} {names} {figures}", flush=True)

    def note(self, text):
        self.notes.append(text)
        print(text, file=sys.stderr, flush=True)

    def write(self):
        if not self.path:
            return
        record = {"peer": self.peer, "adapter": self.adapter, "clock": self.clock, "rows": self.rows, "notes": self.notes}
        # Whoever reads it finds the last one or this one, never half of one.
        unfinished = f"{self.path}.unfinished"
        with open(unfinished, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=2)
            file.write("\n")
        os.replace(unfinished, self.path)


def first_line(error):
    return next((line for line in str(error).splitlines() if line.strip()), "") or type(error).__name__


def measure_case(record, args, sizes, layout, dtype, fused):
    bytes_of_x = math.prod(sizes) * DTYPES[dtype].itemsize
    sets = sets_for(bytes_of_x, 0 if args.warm_cache else args.cache_mib << 20, args.device)
    name = f"{sizes} {layout} {dtype} {fused}"
    try:
        case = Case(sizes, layout, dtype, fused, args.device, sets)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        return record.note(f"{name}: not measured: {first_line(error)}")
    # What was compiled for other shapes only takes time to be rejected.
    torch._dynamo.reset()
    for mode in args.mode:
        for which in PASSES:
            if record.is_late():
                return record.note(f"{name} {mode} {which}: not measured: the time limit is over")
            try:
                # Eager takes cuDNN where PyTorch thinks it faster, native never.
                with torch.backends.cudnn.flags(enabled=not mode.startswith("native")):
                    times, steps = measured(case, which, mode, args.device, args.repetitions)
            # A mode that fails (no compiler, no memory, no capture) must not take the others along.
            except Exception as error:  # noqa: BLE001
                record.note(f"{name} {mode} {which}: not measured: {first_line(error)}")
                continue
            labels = {"shape": sizes, "layout": layout, "dtype": dtype, "variant": mode, "pass": which}
            record.add(labels, fused, times, steps, sets)


def main():
    args = arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    record = Record(args)
    cases = [
        (sizes, layout, dtype, fused)
        for sizes in args.shape
        for layout in args.layout or LAYOUTS
        for dtype in args.dtype or ["f32"]
        for fused in args.fused or ["none"]
    ]
    for index, case in enumerate(cases):
        if record.is_late():
            record.note(f"{len(cases) - index} of {len(cases)} cases not begun: the time limit is over")
            break
        measure_case(record, args, *case)
        record.write()
    record.write()
    return 0 if record.rows else 1


if __name__ == "__main__":
    sys.exit(main())
