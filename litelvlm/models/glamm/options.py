"""Open choices inside the model as typed options; every default is the official code's choice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal, get_type_hints

from litelvlm.names import check_name
from litelvlm.pruning.options import Bounds, check_field_values

ClipText = Literal["question", "expression", "caption", "average"]
Pooling = Literal["eos", "words", "no_sos"]
PatchLayer = Literal["second_last", "last"]
Read = Literal["before_seg", "seg"]
Tokenisation = Literal["official", "library"]
CAPTION = "a photo of {}"


@dataclass(frozen=True, kw_only=True)
class GlammOptions:
    """Choices that paper, official code and common practice make differently or leave open.

    Attributes:
        crop: What CLIP sees of an image: "shortest" cuts the centre square, "pad" adds a border in
            CLIP's mean colour to make it square, "squash" stretches it.
        clip_text: Text that ranks visual tokens: the whole "question" sentence, the bare
            "expression", "a photo of" it ("caption"), or the "average" of the embeddings of
            question and expression.
        pooling: State of that text: at its end ("eos"), the mean over its word tokens ("words"), or
            at its end without the start token in the sequence ("no_sos").
        patch_layer: Patch states that are ranked: those the language model gets ("second_last"), or
            the "last".
        patch_norm: Whether the final layer norm is applied before they are projected into the joint
            space.
        tokenisation: Prompt pieces as in the checkpoint's training ("official"), or as today's
            library makes them ("library": blanks beside [SEG] become tokens, and pieces after a
            special token lose their leading blank).
        read: State a mask is decoded from: the one that predicts [SEG] ("before_seg"), or that of
            "[SEG]" itself.
        sam_dtype: Number type of SAM: the model's own ("model"), or "float32".
        mask_decoder_eps: Layer-norm epsilon of SAM's two-way blocks: 1e-5 as trained; 1e-6 is the
            library's default.

    Raises:
        ValueError: If a value is not one of these, or the epsilon is not a number above 0.
    """

    crop: Literal["shortest", "pad", "squash"] = "shortest"
    clip_text: ClipText = "question"
    pooling: Pooling = "eos"
    patch_layer: PatchLayer = "second_last"
    patch_norm: bool = True
    tokenisation: Tokenisation = "official"
    read: Read = "before_seg"
    sam_dtype: Literal["model", "float32"] = "model"
    mask_decoder_eps: Annotated[float, Bounds(0, without_low=True, without_high=True)] = 1e-5

    def __post_init__(self) -> None:
        self.check(vars(self))

    @classmethod
    def check(cls, values: Mapping[str, object]) -> None:
        """Refuse a field that does not exist, or a value that is not allowed.

        Raises:
            ValueError: Naming the field, the value and what is allowed.
        """
        for name in values:
            check_name(name, get_type_hints(cls), "option")
        check_field_values(cls, values)

    def replaced(self, changes: Mapping[str, object]) -> "GlammOptions":
        """These options with some fields changed.

        Raises:
            ValueError: If a field is unknown, or a value is not allowed.
        """
        self.check(changes)
        return replace(self, **changes)  # type: ignore[arg-type]  # checked above

    @classmethod
    def parse(cls, entries: Sequence[str]) -> "GlammOptions":
        """Read options written as text, "field=value" each.

        Raises:
            ValueError: If an entry has another form, a field is unknown or named twice, or a value
                is not allowed.

        Example:
            >>> str(GlammOptions.parse(["read=seg", "patch_norm=false"]))
            '[patch_norm=False, read=seg]'
        """
        hints, values = get_type_hints(cls), dict[str, object]()
        for entry in entries:
            name, equals, text = entry.partition("=")
            if not equals:
                raise ValueError(
                    f"option {entry!r} is not of the form field=value, such as read=seg"
                )
            check_name(name, hints, "option")
            if name in values:
                raise ValueError(f"option {name} is given twice; give one value")
            values[name] = _value(text, hints[name], name)
        return cls().replaced(values)

    def changed(self) -> dict[str, object]:
        """The options that differ from the official code's."""
        return {
            e.name: getattr(self, e.name)
            for e in fields(self)
            if getattr(self, e.name) != e.default
        }

    def __str__(self) -> str:
        """The options that differ from the official code's, for names of models.

        Example:
            >>> str(GlammOptions(read="seg")), str(GlammOptions())
            ('[read=seg]', '')
        """
        text = ", ".join(f"{name}={value}" for name, value in self.changed().items())
        return f"[{text}]" if text else ""


def _value(text: str, kind: object, name: str) -> object:
    """A field's value from text; ``GlammOptions.check`` refuses wrong words."""
    if kind is bool:
        return check_name(text.lower(), ("true", "false"), name) == "true"
    if kind is not float:
        return text
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name} {text!r} is not a number; the official value is 1e-5") from None
