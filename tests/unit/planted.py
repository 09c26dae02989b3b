"""A made-up data set and model whose signals are known.

Objects are coloured squares on the token grid.

Object k has colour 40 k and the name NAMES[k]; every square covers whole patches. The "background"
model scores background tokens high whatever the text; the "instance" model scores the tokens of the
named object low.
"""

from dataclasses import dataclass, field, replace
from types import MappingProxyType, SimpleNamespace
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch import nn

from litelvlm.clip.preprocessing import Preprocessing
from litelvlm.clip.states import ClipText
from litelvlm.clip.tower import Tower
from litelvlm.data.dataset import Expression, Sample
from litelvlm.models.base import Grounding, ImageView, TowerGroundingModel
from litelvlm.models.glamm.preprocess import CLIP_MEAN, CLIP_STD
from litelvlm.pruning import Cues, ModelSizes, VitView
from tests.glamm_parts import ANSWERS, QUESTIONS, conversation, question

GRID, PATCH = (12, 12), 14
SIZE = GRID[0] * PATCH
NAMES = ("nothing", "ball", "cube", "star", "ring", "cone")
N_CATEGORIES = len(NAMES) - 1


@dataclass(frozen=True)
class PlantedSample(Sample):
    image_id: int
    codes: np.ndarray
    expressions: tuple[Expression, ...]
    annotations: dict = field(default_factory=dict)

    @property
    def height(self):
        return self.codes.shape[0] * PATCH

    @property
    def width(self):
        return self.codes.shape[1] * PATCH

    def with_expressions(self, expressions):
        return replace(self, expressions=tuple(expressions))

    def frame(self, index):
        pixels = np.kron(self.codes * 40, np.ones((PATCH, PATCH))).astype(np.uint8)
        return Image.fromarray(np.repeat(pixels[..., None], 3, axis=2))

    def masks(self, expression):
        meant = np.isin(self.codes, [ann_id % 10 for ann_id in expression.ann_ids if ann_id > 0])
        return np.kron(meant, np.ones((PATCH, PATCH))).astype(np.uint8)[None]


class PlantedData(list):
    name, split, split_by, digest = "planted", "val", "none", "0" * 64
    categories = MappingProxyType({})


def clustered(rng, n_images=40, per_image=4, between=1.0, within=0.5):
    """Values around 0 whose image effect dominates, and the image of each."""
    ids = np.repeat(np.arange(n_images), per_image)
    return rng.normal(0, between, n_images)[ids] + rng.normal(0, within, len(ids)), ids


def place(rng, codes, code):
    """Put a 3 x 3 square of one object on free ground."""
    while True:
        row, col = rng.integers(0, codes.shape[0] - 2), rng.integers(0, codes.shape[1] - 2)
        if not codes[row : row + 3, col : col + 3].any():
            codes[row : row + 3, col : col + 3] = code
            return


def planted_data(n_images=20, seed=0, objects=2, categories=N_CATEGORIES):
    """A few objects per image, one expression each.

    Names share a category if there are fewer categories than names.
    """
    rng, samples = np.random.default_rng(seed), PlantedData()
    for image_id in range(1, n_images + 1):
        codes = np.zeros(GRID, dtype=int)
        kinds = rng.choice(np.arange(1, len(NAMES)), objects, replace=False).tolist()
        for code in kinds:
            place(rng, codes, code)
        samples.append(sample_of(image_id, codes, kinds, categories))
    return samples


def sample_of(image_id, codes, kinds, categories=N_CATEGORIES):
    expressions = tuple(
        Expression(
            image_id * 100 + number,
            image_id * 100 + number,
            (image_id * 10 + code,),
            (category_of(code, categories),),
            f"The {NAMES[code]}",
            ("attribute", "place")[number % 2],
        )
        for number, code in enumerate(kinds)
    )
    annotations = {
        image_id * 10 + code: SimpleNamespace(
            category_id=category_of(code, categories), crowd=False
        )
        for code in kinds
    }
    return PlantedSample(image_id, codes, expressions, annotations)


def category_of(code, categories):
    return (code - 1) % categories + 1


class PlantedClip(nn.Module):
    """Weights of the text side: how strongly [EOS] prefers [SOS]; as built, not at all."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.pull = nn.Parameter(torch.zeros(1))


class PlantedTextBlock:
    """Attention that prefers the first position by ``pull`` and nothing else.

    [SOS] has a tenth of a word's value.

    States are (1, 0) at [SOS] and (0, 1) at words, once per head; the block leaves them as they
    are.
    """

    output_weight = torch.eye(6)

    def __init__(self, pull):
        self.module, self.pull = nn.Identity(), pull

    def qkv(self, states):
        # Two numbers per head: logits are scaled by their root.
        sos = states.new_tensor([self.pull * 2**0.5, 0.0]).repeat(3)
        values = states * torch.tensor([0.1, 1.0]).repeat(3)
        return torch.ones_like(states), states * sos, values

    def attention_output(self, mixed):
        return torch.zeros_like(mixed)

    feed_forward = attention_output


class PlantedTower(Tower):
    """One block above the embeddings.

    A tower built without a signal scores at random, like random weights.
    """

    image_size, grid, n_prefix, n_blocks, n_heads, lacks = SIZE, GRID, 1, 1, 1, {}
    rotates = False
    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, clip, tokenizer, preprocessing=None, signal="none", noise=0.05):
        super().__init__()
        self.clip, self.tokenizer, self.signal, self.noise = clip, tokenizer, signal, noise
        self.preprocessing = preprocessing or Preprocessing()
        self.vocabulary = {}

    # Everything that blocks would compute is planted in ``image`` and ``text``.
    embed = block = qkv = encode_text = image_blocks = None

    def image(self, pixel_values):
        scale, shift = torch.tensor(CLIP_STD)[0], torch.tensor(CLIP_MEAN)[0]
        grey = (pixel_values[0, 0] * scale + shift) * 255 / 40
        codes = grey.unfold(0, PATCH, PATCH).unfold(1, PATCH, PATCH).mean((2, 3)).round().long()
        generator = torch.Generator().manual_seed(int(codes.sum()))
        tokens = nn.functional.one_hot(codes.flatten(), len(NAMES)).float()
        tokens = (tokens + self.noise * torch.randn(tokens.shape, generator=generator))[None]
        cls = tokens.mean(1)
        states = torch.cat([cls[:, None], tokens], 1)
        return SimpleNamespace(
            codes=codes,
            states=(states,),
            query=cls,
            keys=tokens,
            patch_tokens=tokens,
            patch_embeds=self.project(tokens),
            values=tokens,
            cls_token=cls,
            last_hidden_state=states,
        )

    def project(self, states):
        return states

    def project_text(self, states):
        # An edited [EOS] says nothing here: sentences are embedded by their words.
        return torch.ones(len(states), len(NAMES))

    def text(self, sentences):
        input_ids, mask, truncated = self.tokenize(sentences)
        states = self.word_states(input_ids)
        for block in self.text_blocks:
            states = block.module(states)
        embeds = torch.stack([self.sentence_embedding(sentence) for sentence in sentences])
        return ClipText(input_ids, mask, embeds, mask.sum(1) - 1, truncated)

    def word_states(self, input_ids):
        states = torch.tensor([0.0, 1.0]).repeat(3).expand(*input_ids.shape, -1).clone()
        states[:, 0] = torch.tensor([1.0, 0.0]).repeat(3)
        return states

    @property
    def text_blocks(self):
        pull = self.clip.pull.item() if self.clip is not None else 0.0
        self.blocks = getattr(self, "blocks", None) or [PlantedTextBlock(pull) for _ in range(2)]
        return self.blocks

    n_text_heads = 3

    def redrawn(self):
        return type(self)(PlantedClip(self.clip.config), self.tokenizer, self.preprocessing)

    def tokenize(self, sentences):
        words = [
            sentence.lower().replace(".", " .").replace("?", " ?").split() for sentence in sentences
        ]
        rows = [[1, *map(self.token, row), 2] for row in words]
        ids = torch.tensor([row + [0] * (max(map(len, rows)) - len(row)) for row in rows])
        return ids, (ids > 0).long(), tuple(len(row) > 16 for row in rows)

    def token(self, word):
        return self.vocabulary.setdefault(word, len(self.vocabulary) + 3)

    def sentence_embedding(self, sentence):
        vector = torch.zeros(len(NAMES))
        if self.signal == "none":
            letters = torch.Generator().manual_seed(sum(map(ord, sentence)))
            vector = torch.randn(len(NAMES), generator=letters)
        elif self.signal == "background":
            vector[0] = 1.0
        else:
            for code, name in enumerate(NAMES[1:], start=1):
                vector[code] = -float(name in sentence.lower())
        return vector

    def text_attention(self, sentences):
        text = self.text(sentences)
        layers, heads = 2, 3
        weights = torch.zeros(layers, len(sentences), heads, text.input_ids.shape[1])
        for number, last in enumerate(text.eos_index.tolist()):
            logits = torch.zeros(last + 1)
            logits[0] = self.clip.pull.item()
            weights[:, number, :, : last + 1] = logits.softmax(0)
        return text, weights


@dataclass(frozen=True)
class PlantedState:
    clip: SimpleNamespace
    codes: np.ndarray
    view: ImageView
    timings: ClassVar = {}

    @property
    def tokens(self):
        return self.clip.patch_tokens[0]


class PlantedBlocks(VitView):
    """Blocks that change nothing; a patch of a smaller image is the mean of those it covers."""

    n_blocks = 1

    def __init__(self, clip, grid):
        self.states, self.grid = clip.states[0][0], grid

    def embed(self):
        return self.states

    def embed_at(self, shape):
        patches = self.states[1:].T.unflatten(1, self.grid)
        small = nn.functional.adaptive_avg_pool2d(patches, shape).flatten(1).T
        return torch.cat([self.states[:1], small])

    def attend(self, block, states, bias):
        return states, states

    def feed(self, block, states):
        return states


class PlantedModel(TowerGroundingModel):
    """Predicts the named object's patches as far as their tokens were kept."""

    family, name, digest, n_layers = "planted", "planted", "f" * 64, 1
    n_questions, n_answers = len(QUESTIONS), len(ANSWERS)

    def __init__(self, signal="instance", noise=0.05, pull=0.0):
        clip = PlantedClip(SimpleNamespace(kind="planted"))
        clip.pull.data += pull
        self.tower = PlantedTower(clip, None, signal=signal, noise=noise)
        self.encoded, self.batches = 0, []

    def encode_image(self, image):
        self.encoded += 1
        pixels = np.asarray(image)[:, :, 0][::PATCH, ::PATCH] / 40
        mean, std = np.array(CLIP_MEAN)[0], np.array(CLIP_STD)[0]
        normal = torch.from_numpy(
            (np.asarray(image)[None, None, :, :, 0] / 255 - mean) / std
        ).float()
        view = self.view(image.height, image.width)
        return PlantedState(self.tower.image(normal), pixels.round().astype(int), view)

    def question(self, expression, question_index=0):
        return question(expression, question_index)

    def conversation(self, expressions, question_index=0, answer_index=0):
        return conversation(expressions, question_index, answer_index)

    def last_layer_embeds(self, state):
        return self.tower.project(state.clip.last_hidden_state[:, 1:])[0]

    def cues(self, state, conversation, coverage=None, key=0):
        sources = {
            "patch_tokens": state.clip.patch_tokens[0],
            "patch_embeds": state.clip.patch_embeds[0],
            "value_path_embeds": -state.clip.patch_embeds[0],  # not reversed
            "text_embeds": self.tower.text(conversation.questions).text_embeds,
            "coverage": coverage,
        }
        n, d = sources["patch_tokens"].shape
        sources |= {"query": torch.ones(d), "keys": torch.ones(n, d), "values": torch.ones(n, d)}
        # What asks the language model first: it looks at the tokens that the text names, and only
        # they matter.
        named = -(sources["patch_embeds"] @ sources["text_embeds"].mean(0))
        sources |= {
            "llm_attention": named[:, None],
            "llm_prompt_attention": named[:, None],
            "block_importance": named,
        }
        sources |= {"llm_gradient": named[:, None].expand(n, d), "projected": torch.ones(n, d)}
        layout = state.view.layout
        return Cues(sources, layout, key, vit=lambda: PlantedBlocks(state.clip, layout.grid))

    def sizes(self, n_tokens):
        return ModelSizes(n_tokens, self.tower.n_blocks - 1, self.n_layers)

    def ground(self, states, conversations, selections, answer="forced", max_new_tokens=64):
        self.batches.append([None if s is None else len(s.indices) for s in selections])
        return [self.one(*entry) for entry in zip(states, conversations, selections, strict=True)]

    def one(self, state, conversation, selection):
        kept = torch.ones(state.view.n_tokens, dtype=torch.bool)
        if selection is not None:
            kept = torch.isin(torch.arange(len(kept)), selection.indices)
        masks = []
        for expression in conversation.expressions:
            code = next(code for code, name in enumerate(NAMES) if name in expression)
            patches = (state.codes == code) & kept.reshape(state.view.layout.plane).numpy()
            masks.append(np.kron(patches, np.ones((PATCH, PATCH))).astype(bool))
        logits = torch.from_numpy(np.stack(masks))[:, None].float() * 2 - 1
        n = len(masks)
        answers, state = conversation.answers, torch.zeros(n, 1)
        return Grounding(logits, state, state, (selection,), {}, answers, (True,) * n)
