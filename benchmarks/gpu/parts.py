"""The parts of the GPU programme: what each asks, its command, and a small form for a dry run."""

from collections.abc import Sequence
from typing import NamedTuple

_FULL = "--model glamm-7b --random-init --device cuda"
_SMALL = "--model embedded --device cpu --rounds 2 --warm-up 0"
_BENCH = f"benchmarks/gpu/bench.py {_FULL} --budgets 192 128 64"
_TINY_BENCH = f"benchmarks/gpu/bench.py {_SMALL} --methods litelvlm --budgets 48"
FAMILY = "-m litelvlm.training.trainings --out {out}/family --stage D --device cuda"
SIZES, WEIGHTS, SCENES, RECORDED, SHAPES = "sizes", "weights", "scenes", "recorded", "shapes"
"""Kinds of files that a part may read besides the code (``benchmarks.gpu.pack``)."""


class Part(NamedTuple):
    """One piece of work that ends within minutes, or goes on where it was stopped.

    Attributes:
        name: Also the folder of its results.
        asks: The question, in words.
        command: What Python runs on a GPU; "{out}" stands for the part's folder.
        tiny: The same at miniature size on a processor.
        minutes: Longest time; what is not done by then is stopped.
        needs: Packages that this part alone needs; without them it is left out.
        reads: Kinds of files that its command reads besides the code.
        tiny_reads: Kinds that only the small form reads.
    """

    name: str
    asks: str
    command: str
    tiny: str
    minutes: float = 8.0
    needs: Sequence[str] = ()
    reads: Sequence[str] = ()
    tiny_reads: Sequence[str] = ()


PARTS: Sequence[Part] = (
    Part(
        "checks",
        "Does every method choose the same tokens on the GPU, twice, and is the mask the same?",
        "benchmarks/gpu/checks.py --device cuda",
        "benchmarks/gpu/checks.py --device cpu --images 1 --methods litelvlm fastv",
        reads=(SIZES, WEIGHTS, SCENES),
    ),
    Part(
        "parity",
        "Does the GPU keep the tokens and draw the masks that the official code was recorded to?",
        "benchmarks/gpu/parity.py --device cuda",
        "benchmarks/gpu/parity.py --device cpu",
        reads=(RECORDED,),
    ),
    Part(
        "prefill-sdpa",
        "What does a prefill cost at 576, 192, 128 and 64 tokens, fused attention?",
        f"{_BENCH} --prefill-only --rounds 100 --warm-up 20",
        f"{_TINY_BENCH} 16 --prefill-only",
        reads=(SIZES, SCENES),
        tiny_reads=(WEIGHTS,),
    ),
    Part(
        "prefill-eager",
        "The same with eager attention, as in the released code.",
        f"{_BENCH} --attn eager --prefill-only --rounds 60 --warm-up 10",
        f"{_TINY_BENCH} --attn eager --prefill-only",
        reads=(SIZES, SCENES),
        tiny_reads=(WEIGHTS,),
    ),
    Part(
        "compiled",
        "What do torch.compile and CUDA graphs add to prefill and decoding?",
        f"benchmarks/gpu/compiled.py {_FULL} --budgets 192 128 64",
        f"benchmarks/gpu/compiled.py {_SMALL} --budgets 48 --tokens 2 --backend eager",
        reads=(SIZES,),
        tiny_reads=(WEIGHTS,),
    ),
    Part(
        "whole-call",
        "Where does the time of a whole call go, and the memory, by component?",
        f"{_BENCH} --rounds 40 --warm-up 5 --decoded 16",
        f"{_TINY_BENCH} --decoded 1",
        reads=(SIZES, SCENES),
        tiny_reads=(WEIGHTS,),
    ),
    Part(
        "compiled-call",
        "The same with compile='inductor': both image towers and the language model's prefill.",
        f"{_BENCH} --compile inductor --rounds 40 --warm-up 10",
        f"{_TINY_BENCH} --compile aot_eager",
        reads=(SIZES, SCENES),
        tiny_reads=(WEIGHTS,),
    ),
    Part(
        "graph-masks",
        "Are the masks under CUDA graphs those of the plain model, and were recordings replayed?",
        "benchmarks/gpu/graph_masks.py --device cuda",
        "benchmarks/gpu/graph_masks.py --device cpu --images 1",
        reads=(SIZES, WEIGHTS, SCENES),
    ),
    Part(
        "graph-times",
        "What do CUDA graphs save when an image is encoded and in a whole call, at what memory?",
        f"benchmarks/gpu/graph_times.py {_FULL} --budgets 192 128 64",
        f"benchmarks/gpu/graph_times.py {_SMALL} --budgets 48",
        reads=(SIZES,),
        tiny_reads=(WEIGHTS,),
    ),
    Part(
        "full-size",
        "What does one picture cost by stage, and what is the peak of memory?",
        "benchmarks/full_size.py --device cuda --repeats 20",
        "benchmarks/full_size.py --device cpu --repeats 1 --model embedded",
        reads=(SIZES,),
    ),
    Part(
        "official-order",
        "How much of the published saving is the order of work of the released code?",
        f"benchmarks/official_order.py {_FULL} --budget 192 --rounds 30 --compile",
        f"benchmarks/official_order.py {_SMALL} --block 1",
        reads=(SIZES, SCENES),
        tiny_reads=(WEIGHTS,),
    ),
    Part(
        "selectors",
        "What does choosing cost beside one CLIP forward, at batch 1 and 32?",
        "benchmarks/selection.py --device cuda",
        "benchmarks/selection.py --device cpu --seconds 0.01 --repeats 1 --batch 2 --layers 2 "
        "--methods litelvlm divprune",
    ),
    Part(
        "sweep",
        "How much cheaper is the shared sweep than one call per row, and is no pixel changed?",
        "benchmarks/sweep.py --images 8",
        "benchmarks/sweep.py --images 1 --methods litelvlm random",
        reads=(SIZES, WEIGHTS, SCENES),
    ),
    Part(
        "sweep-full",
        "How much cheaper is the shared sweep at full size, and how many pixels change in bf16?",
        f"benchmarks/sweep.py {_FULL} --images 4 --methods litelvlm low_similarity trim cdpruner "
        "divprune vispruner visionzip value_norm random(seed=0) uniform",
        "benchmarks/sweep.py --model embedded-shapes --random-init --device cpu --images 1 "
        "--methods litelvlm random",
        reads=(SIZES, SCENES),
        tiny_reads=(SHAPES,),
    ),
    Part(
        "int8",
        "What do 8-bit weights of the language model change in time and memory?",
        f"{_BENCH} --quantise int8 --rounds 20 --warm-up 3",
        f"{_TINY_BENCH} --quantise int8 --prefill-only",
        needs=("bitsandbytes",),
        reads=(SIZES, SCENES),
        tiny_reads=(WEIGHTS,),
    ),
    Part(
        "nf4",
        "What do 4-bit weights (NF4) change?",
        f"{_BENCH} --quantise nf4 --rounds 20 --warm-up 3",
        f"{_TINY_BENCH} --quantise nf4 --prefill-only",
        needs=("bitsandbytes",),
        reads=(SIZES, SCENES),
        tiny_reads=(WEIGHTS,),
    ),
    Part(
        "family",
        "The longer list of the emergence family (stage D, pixels), as far as the time goes.",
        FAMILY,
        "benchmarks/gpu/family.py --out {out}/family --device cpu",
        reads=(SCENES,),
    ),
)
"""In the order in which they run: what everything else rests on comes first."""
