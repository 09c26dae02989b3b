"""What `litelvlm check` says of references: which entries cannot be used, and which look odd."""

from collections.abc import Iterator, Sequence

from litelvlm.analysis.inputs.boxes import mask_box, misfit
from litelvlm.analysis.inputs.subset import middles
from litelvlm.data.annotations import union_mask
from litelvlm.data.dataset import Sample, clean, kind_of_samples
from litelvlm.data.images import is_turned
from litelvlm.data.refer import ReferDataset, ReferSample
from litelvlm.data.video.clips import ClipDataset
from litelvlm.data.video.stills import Stills

SOME, NAMED = 32, 5
"""Images that are read unless all are asked for, and failures that are named."""


def check_references(data: ReferDataset | ClipDataset | Stills, every_image: bool) -> str:
    """Read pictures, masks and sentences, and describe the split.

    Args:
        data: The split; its tables were checked when they were read.
        every_image: Read all of it, not only some images that are spread over it.

    Raises:
        ValueError: If something cannot be used; each is named by the ids of its image and entry.
    """
    places = middles(len(data), len(data) if every_image else SOME)
    samples = [data[place] for place in places]
    broken = [told for told in map(unusable, samples) if told]
    kind = kind_of_samples(samples)
    read = f"{len(places)} of {len(data)} {kind} read"
    if broken:
        raise ValueError(f"{len(broken)} of {read} cannot be used: {_first(broken)}")
    counts = f"{data.n_expressions} expressions, {len(data)} {kind}"
    odd = [told for sample in samples for told in oddities(sample)]
    notes = [data.count_note, f"{len(odd)} entries look odd: {_first(odd)}" if odd else ""]
    told = f"{data.name} {data.split}: {counts}, {read}, content {data.digest[:12]}"
    return "; ".join(filter(None, (told, *notes)))


def unusable(sample: Sample) -> str:
    """What is wrong with a frame, a mask or a sentence of a sample; empty if nothing is."""
    at = f"image {sample.image_id}"
    try:
        for frame in range(sample.frames):
            sample.frame(frame)
        for one in sample.expressions:
            at = f"image {sample.image_id}, reference {one.ref_id}, sentence {one.sent_id}"
            sample.masks(one)
            clean(one.sent)
    except (ValueError, OSError) as error:
        return f"{at}: {' '.join(str(error).split())}"
    return ""


def oddities(sample: Sample) -> Iterator[str]:
    """Objects without pixels, whose box does not fit, or with doubled pixels; a turned picture.

    Of clips objects are known by their masks alone.
    """
    if isinstance(sample, ReferSample) and is_turned(sample.path):
        yield f"{sample.path.name} is turned by its EXIF tag, and masks lie on pixels as stored"
    meant = {number for expression in sample.expressions for number in expression.ann_ids}
    for number in sorted(meant & sample.annotations.keys()):
        annotation = sample.annotations[number]
        drawn = union_mask([annotation], sample.height, sample.width)
        inside, doubled = drawn > 0, int((drawn > 1).sum())
        if not inside.any():
            yield f"annotation {number} has no pixels"
        elif told := misfit(annotation, mask_box(inside)):
            yield told
        if doubled:
            yield (
                f"annotation {number} has {doubled} of its {int(inside.sum())} pixels in two or "
                "more of its polygons, where only --doubled object scores them"
            )


def _first(told: Sequence[str]) -> str:
    more = f"; and {len(told) - NAMED} more" if len(told) > NAMED else ""
    return "; ".join(told[:NAMED]) + more
