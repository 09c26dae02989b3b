"""A LoRA and its base in files: inside one checkpoint, or an adapter's folder beside its base."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from litelvlm.data.safe.adapters import (
    ADAPTER_CONFIG,
    adapter_files,
    refuse_adapter,
    refuse_unmerged,
    unmerged,
)
from litelvlm.data.safe.weight_files import read_shard, shard_paths
from litelvlm.hub_ids import is_hub_id
from litelvlm.models.configs import read_fields
from litelvlm.models.files import hub_folder
from litelvlm.models.lora import Lora, plain_name, scale_of


class MergedFiles:
    """The weight files of a base, read with a LoRA merged into them.

    Args:
        source: Folder of a checkpoint with a LoRA inside, or of an adapter as peft saves it.
        base: Folder of the base weights of an adapter; None takes the one that it names. For a
            checkpoint with a LoRA inside, a folder whose other files (tokenizer, configuration,
            CLIP) go with it.
        alpha: lora_alpha of the training; None reads it from the files.

    Attributes:
        paths: Weight files of the base.
        folders: Where the other files come from, the later before the earlier.

    Raises:
        FileNotFoundError: If there are no weights, or the base is not on this machine.
        ValueError: If there is no LoRA, its scale is unknown, or it has parts that are not merged
            here.
    """

    def __init__(self, source: Path, base: Path | None, alpha: float | None) -> None:
        config = _config(source)
        self.lora = Lora()
        separate = adapter_files(source)
        if separate:
            base = base or _named_base(source, config)
            if base.resolve() != source.resolve():
                refuse_adapter(base)
            for path in separate:
                for name, tensor in read_shard(path):
                    if not self.lora.take(name, tensor):
                        self.lora.saved[plain_name(name)] = tensor
        self.paths = shard_paths(base if separate and base else source)
        self.folders = tuple(dict.fromkeys([*([base] if base else []), source]))
        if not any((folder / "config.json").is_file() for folder in self.folders):
            raise FileNotFoundError(
                f"{source} has no config.json; name the folder that the training began with, whose "
                "configuration and tokenizer are copied, with --base"
            )
        for path in self.paths:
            names = []
            for name, tensor in read_shard(path):
                names.append(name)
                if not separate:
                    self.lora.take(name, tensor)
            if separate:
                refuse_unmerged(names, path.parent)
        if not self.lora.parts:
            raise ValueError(f"{source} holds no LoRA; leave --merge-lora out")
        where = source / (ADAPTER_CONFIG if (source / ADAPTER_CONFIG).is_file() else "config.json")
        self.scale = scale_of(config, alpha, bool(separate), str(where))
        self._absent = self.lora.changed()

    @property
    def described(self) -> str:
        """How much was merged, and how."""
        way = "sqrt(rank)" if self.scale.rank_stabilised else "rank"
        replaced = f", {len(self.lora.saved)} replaced" if self.lora.saved else ""
        return f"{len(self.lora.parts)} changed by alpha {self.scale.alpha:g} / {way}{replaced}"

    def read(self, path: Path) -> Iterator[tuple[str, Tensor]]:
        """Names and merged tensors of one of the files.

        Raises:
            ValueError: If a part of the LoRA is missing, or does not fit.
        """
        seen = set[str]()
        for stored, tensor in read_shard(path):
            name = plain_name(stored)
            if unmerged([name]):
                continue
            if name in seen:
                raise ValueError(f"{path} holds {name} under two names; keep one")
            seen.add(name)
            self._absent.discard(name)
            yield name, self.lora.merged(name, tensor, self.scale)

    def require_all_met(self) -> None:
        """Refuse a LoRA that changes weights which no file held.

        Raises:
            ValueError: Counting them, and naming one.
        """
        if self._absent:
            raise ValueError(
                f"the base {self.paths[0].parent} lacks {len(self._absent)} weights that the LoRA "
                f"changes, such as {min(self._absent)}; give the base that it was trained on, or "
                "merge with peft (merge_and_unload) if the names differ"
            )


def _config(source: Path) -> Mapping[str, object]:
    """What the folder states of its LoRA: ``adapter_config.json``, or fields of ``config.json``."""
    for name, kept in ((ADAPTER_CONFIG, None), ("config.json", ("lora_alpha", "lora_r"))):
        if (source / name).is_file():
            found = read_fields(source, "LoRA", name)
            return {key: found[key] for key in found if kept is None or key in kept}
    return {}


def _named_base(source: Path, config: Mapping[str, object]) -> Path:
    """The base that an adapter names.

    Raises:
        FileNotFoundError: If it is not on this machine.
    """
    named = str(config.get("base_model_name_or_path") or "")
    if named and Path(named).is_dir():
        return Path(named)
    if is_hub_id(named):
        try:
            return hub_folder(named, fetch=False)
        except FileNotFoundError:
            pass
    raise FileNotFoundError(
        f"{source} holds an adapter alone, and its base ({named or 'which it does not name'}) is "
        "not on this machine; give the folder of the base with --base"
    )
