"""A grounding model without CLIP that reads clips of three frames: sweep, ablations and report.

Every frame is a grid of patches, and one coloured square moves from frame to frame. The model finds
the patches of the named colour as far as their tokens were kept.
"""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from litelvlm import get_pruner
from litelvlm.analysis.api import complete_run, read_record, read_rows, read_summary
from litelvlm.analysis.cli.actions.report import write_report
from litelvlm.analysis.pages.explore.page import build_page
from litelvlm.analysis.studies import ablations, sweep
from litelvlm.analysis.studies.examples import read_examples
from litelvlm.analysis.studies.sweep.evaluate import score_lines
from litelvlm.clip.geometry import Crop
from litelvlm.data.dataset import Expression, Sample
from litelvlm.figures import FIGURES, style
from litelvlm.figures.files import write_figures
from litelvlm.figures.saved import Saved
from litelvlm.layout import Layout
from litelvlm.models.base import Conversation, Grounding, GroundingModel, ImageView
from litelvlm.pruning import CUES, Cues, ModelSizes

FRAMES, SIDE, PATCH = 3, 6, 4
NAMES = ("nothing", "ball", "cube")
FULL = FRAMES * SIDE * SIDE
ORACLE = "mask_oracle(share=1.0)"


@dataclass(frozen=True)
class Clip(Sample):
    """Squares of 2 x 2 patches; frames are drawn when they are asked for."""

    image_id: int
    codes: np.ndarray
    expressions: tuple
    annotations: dict = field(default_factory=dict)
    height: int = SIDE * PATCH
    width: int = SIDE * PATCH

    @property
    def frames(self):
        return len(self.codes)

    def frame(self, index):
        pixels = np.kron(self.codes[index] * 40, np.ones((PATCH, PATCH))).astype(np.uint8)
        return Image.fromarray(pixels).convert("RGB")

    def masks(self, expression):
        inside = self.codes == expression.ann_ids[0] % 10
        return np.kron(inside, np.ones((1, PATCH, PATCH))).astype(np.uint8)

    def with_expressions(self, expressions):
        return replace(self, expressions=tuple(expressions))


class Clips(list):
    name, split, split_by, digest = "planted clips", "val", "none", "1" * 64
    categories: ClassVar = {1: "ball", 2: "cube"}


def clips(n=8):
    rng, found = np.random.default_rng(0), Clips()
    for image_id in range(1, n + 1):
        codes = np.zeros((FRAMES, SIDE, SIDE), dtype=int)
        for code, left in ((1, 0), (2, 3)):
            for frame, row in enumerate(rng.integers(0, SIDE - 1, FRAMES)):
                codes[frame, row : row + 2, left : left + 2] = code
        expressions = tuple(
            Expression(
                10 * image_id + code, 10 * image_id + code, (10 * image_id + code,), (code,), name
            )
            for code, name in enumerate(NAMES[1:], start=1)
        )
        objects = {
            10 * image_id + code: SimpleNamespace(category_id=code, crowd=False) for code in (1, 2)
        }
        found.append(Clip(image_id, codes, expressions, objects))
    return found


@dataclass(frozen=True)
class ClipState:
    codes: np.ndarray
    view: ImageView
    timings: ClassVar = {}

    @property
    def tokens(self):
        return torch.nn.functional.one_hot(torch.from_numpy(self.codes).flatten(), 3).float()


class ClipModel(GroundingModel):
    """Its language model attends to the named object; its tower sees every token alike."""

    family, name, digest = "planted_clips", "planted clips", "2" * 64
    n_questions, n_answers, n_layers = 1, 1, 2
    substitutes = ("input_similarity", "received_attention")
    device, dtype = torch.device("cpu"), torch.float32

    lacks = frozenset(CUES) - {*substitutes, "patch_tokens", "projected", "coverage"}

    def sizes(self, n_tokens):
        return ModelSizes(n_tokens, 1, self.n_layers)

    def view(self, height, width):
        return self.clip_view(height, width, 1)

    def clip_view(self, height, width, frames):
        crop = Crop(height, width, height, height, width, 0, 0)
        return ImageView(Layout(frames, height // PATCH, width // PATCH), crop, height)

    def encode_image(self, image):
        return self.encode_clip([image])

    def encode_clip(self, frames):
        read = [np.asarray(frame)[::PATCH, ::PATCH, 0] // 40 for frame in frames]
        rows, columns = (PATCH * side for side in read[0].shape)
        return ClipState(np.stack(read).astype(int), self.clip_view(rows, columns, len(read)))

    def question(self, expression, question_index=0):
        return f"Where is the {expression.strip().lower()}?"

    def conversation(self, expressions, question_index=0, answer_index=0):
        texts = tuple(expression.strip().lower() for expression in expressions)
        return Conversation(texts, tuple(map(self.question, texts)), ("[SEG]",) * len(texts))

    def cues(self, state, conversation, coverage=None, key=0):
        named = sum(state.tokens[:, code_of(text)] for text in conversation.expressions)
        sources = {
            "patch_tokens": state.tokens,
            "projected": state.tokens,
            "input_similarity": named,
            "received_attention": torch.ones(len(named)),
            "coverage": coverage,
        }
        sources = {name: value for name, value in sources.items() if value is not None}
        return Cues(sources, state.view.layout, key)

    def ground(self, states, conversations, selections, answer="forced", max_new_tokens=64):
        return [self.one(*entry) for entry in zip(states, conversations, selections, strict=True)]

    def one(self, state, conversation, selection):
        kept = torch.ones(state.view.n_tokens, dtype=torch.bool)
        if selection is not None:
            kept = torch.isin(torch.arange(len(kept)), selection.indices)
        codes = torch.from_numpy(state.codes)
        found = [(codes == code_of(e)) & kept.view(codes.shape) for e in conversation.expressions]
        masks = torch.stack(found).float()
        masks = masks.repeat_interleave(PATCH, 2).repeat_interleave(PATCH, 3)
        n, nothing = len(found), torch.zeros(len(found), 1)
        answers = conversation.answers
        return Grounding(2 * masks - 1, nothing, nothing, (selection,), {}, answers, (True,) * n)


def code_of(text):
    return next(code for code, name in enumerate(NAMES) if name in text)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    config = sweep.Config(
        methods=("litelvlm", "avgpool", "random", "input_similarity", ORACLE),
        budgets=(12, 36),
        seeds=2,
    )
    folder = tmp_path_factory.mktemp("runs")
    return complete_run(sweep.STUDY, ClipModel(), clips(), config, folder)


def test_a_sweep_counts_the_pixels_of_all_frames(swept):
    rows = read_rows(swept)
    assert set(rows["method"]) == {"none", "random", "input_similarity", ORACLE}
    whole = rows[rows["method"] == "none"]
    assert (whole["n_kept"] == FULL).all()
    assert (whole["target_px"] == FRAMES * 4 * PATCH**2).all()
    assert (whole["iou"] == 1.0).all()
    # Twelve tokens are the object's in three frames.
    best = rows[rows["method"].isin(["input_similarity", ORACLE])]
    assert (best["iou"] == 1.0).all()
    few = rows[(rows["method"] == "random") & (rows["budget"] == 12)]
    assert 0 < few["iou"].mean() < 0.3


def test_a_sweep_of_clips_scores_every_frame(swept):
    rows, run = read_rows(swept), read_summary(swept)
    whole = rows[rows["method"] == "none"]
    assert (whole[["j", "f", "jf"]] == 1.0).all(axis=None)
    few = rows[(rows["method"] == "random") & (rows["budget"] == 12)]
    assert ((few["j"] + few["f"]) / 2).tolist() == pytest.approx(few["jf"].tolist())
    # Its masks never leave the target, which is as large in every frame.
    assert few["j"].tolist() == pytest.approx(few["iou"].tolist())
    scores = run.table("scores").set_index(["method", "budget", "metric"])["value"]
    assert scores["random", 12, "jf"] == pytest.approx(few["jf"].mean())
    compared = run.table("comparisons")
    assert {"j", "f", "jf", "ciou", "giou"} == set(compared["metric"])
    lines = score_lines(rows).set_index(["method", "budget", "draw"])
    assert lines.loc[("random", 12, "mean"), "jf"] == pytest.approx(few["jf"].mean())
    images = score_lines(rows.drop(columns=["j", "f", "jf"]))
    assert not {"j", "f", "jf"} & set(images)


def test_figures_of_clips_show_j_and_f_by_the_tokens_read(swept, tmp_path):
    run = Saved(swept)
    table, figure = run.table("scores"), FIGURES["accuracy_jf"].drawn(run).figure
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    best = table[(table["method"] == "input_similarity") & (table["metric"] == "jf")]
    shown = lines[style.label("input_similarity")]
    assert shown.get_xdata().tolist() == best["n_kept"].tolist()[::-1] == [12, 36]
    assert shown.get_ydata().tolist() == best["value"].tolist()[::-1]
    kept = FIGURES["retention"].drawn(run).figure.axes[0]
    assert kept.get_ylabel() == "share of the unpruned J&F"
    (drawn,) = write_figures("accuracy_jf", [swept], tmp_path)
    assert "16 expressions from 8 clips" in drawn.caption
    assert "resampling clips" in drawn.caption


def test_methods_that_need_clip_or_one_frame_are_left_out_by_name(swept):
    reasons = {one.method: one.reason for one in read_record(swept).excluded}
    assert set(reasons) == {"litelvlm", "avgpool"}
    assert "which 'planted clips' of family 'planted_clips' cannot give" in reasons["litelvlm"]
    assert "take 'input_similarity', 'received_attention'" in reasons["litelvlm"]
    assert "cannot choose among the tokens of 3 frames" in reasons["avgpool"]


@pytest.fixture(scope="module")
def ablated(tmp_path_factory):
    config = ablations.Config(
        requests=("falsify", "protocol"), budgets=(12,), random_seeds=2, official_seeds=2, images=4
    )
    folder = tmp_path_factory.mktemp("runs")
    return complete_run(ablations.STUDY, ClipModel(), clips(), config, folder)


def test_ablations_run_without_a_text_tower(ablated):
    rows = read_rows(ablated)
    assert {"none", "random", ORACLE} <= set(rows["method"])
    assert rows["ri"].isna().all()
    assert any("a text tower of CLIP is needed" in note for note in read_record(ablated).notes)


def test_ablations_of_clips_show_j_and_f(ablated):
    run, rows = Saved(ablated), read_rows(ablated)
    drawn = rows[(rows["protocol"] == "official") & (rows["method"] == "random")]
    protocols = run.table("protocols").set_index(["protocol", "method"])["jf"]
    assert protocols["official", "random"] == pytest.approx(drawn["jf"].mean())
    assert drawn["jf"].mean() != pytest.approx(drawn["iou"].mean())
    for name, shown in (
        ("ablation_budgets", lambda figure: figure.axes[0].get_ylabel()),
        ("ablation_protocols", lambda figure: figure.get_supxlabel()),
        ("ablation_retention", lambda figure: figure.axes[-1].get_xlabel()),
    ):
        figure, note = FIGURES[name].drawn(run)
        assert shown(figure).endswith("J&F")
        assert "4 clips" in note


def test_segment_takes_a_clip_and_numbers_its_frames(tmp_path):
    model, sample = ClipModel(), clips(1)[0]
    result = model.segment(sample.clip, ["ball", "cube"], "input_similarity", 24)
    assert result.masks.shape == (2, FRAMES, sample.height, sample.width)
    assert "2 masks of 3 frames of 24 x 24 pixels" in repr(result)
    names = [path.name for path in result.save(tmp_path / "mask.png")]
    assert names == [f"mask-{i}-{frame}.png" for i in (1, 2) for frame in (1, 2, 3)]
    with pytest.raises(ValueError, match="masks of 3 frames, not of one image"):
        _ = result.mask
    with pytest.raises(ValueError, match=r"patch_embeds and text_embeds.*take 'input_similar"):
        model.segment(sample.clip, "ball", "low_similarity", 12)
    with pytest.raises(ValueError, match="'avgpool' lays out the rows and columns of one image"):
        model.segment(sample.clip, "ball", get_pruner("avgpool"), 12)
    one = model.segment(sample.frame(1), "ball")
    assert one.mask.equal(model.segment(sample.clip, "ball").masks[:, 1])


def test_a_clip_refuses_what_reads_one_image():
    sample = clips(1)[0]
    for read in (sample.image, lambda: sample.mask(sample.expressions[0])):
        with pytest.raises(ValueError, match="sample 1 is a clip of 3 frames, and this reads one"):
            read()


def test_pages_show_strips_of_frames_and_animations(tmp_path):
    data, model = clips(4), ClipModel()
    config = sweep.Config(methods=("input_similarity", "random"), budgets=(12,), seeds=2)
    run = complete_run(sweep.STUDY, model, data, config, tmp_path)
    sweep.STUDY.pictures(model, data, run, config)
    _, shown = read_examples(run)
    assert {one.titles[1] for one in shown} == {"unpruned, J&F 1.00"}
    assert "finds (J&F 0.5)" in FIGURES["examples"].drawn(Saved(run)).note
    # Three frames side by side, with gaps.
    assert {panel.shape for one in shown for panel in one.panels} == {(24, 3 * 24 + 2 * 4, 3)}
    files = sorted(run.glob("maps/clip-*.webp"))
    assert len(files) == len(shown)
    with Image.open(files[0]) as moving:
        assert (moving.n_frames, moving.size) == (FRAMES, (2 * 24 + 4, 24))
    report = write_report([run], tmp_path / "report").read_text()
    assert "n = 8 expressions from 4 clips; bars: one-sided 95 % lower bounds" in report
    assert "<em>clips</em> with all their expressions, because expressions of one clip" in report
    assert report.count("all tokens on the left, 12 tokens") == 2 * len(shown)

    legend = {name: (name, "black") for name in ("input_similarity", "random")}
    page = build_page(model, data, run, tmp_path / "page.html", legend, samples=3).read_text()
    assert page.count("<section>") == 3
    # An animation, and a strip each of the true mask, of all tokens and of both methods.
    assert page.count("data:image/webp;base64,") == 3 * 5
    assert "all tokens, 108 tokens: J 100.0, F 100.0" in page
