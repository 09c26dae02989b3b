"""What every model family shares: the view of an image, conversations, grounders."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from planted import GRID, PATCH, SIZE, PlantedModel, planted_data

from litelvlm.analysis.runs.origin.provenance import model_identity
from litelvlm.clip.geometry import coverage, crop_box, visible_fraction
from litelvlm.embedded.clip_sizes import has_miniature_sizes
from litelvlm.layout import Layout
from litelvlm.models.base import GroundingModel, ImageView, Request, TowerModel, VisualState
from litelvlm.pruning import Selection


def test_a_view_knows_the_tokens_before_the_model_runs():
    model, sample = PlantedModel(), planted_data(1)[0]
    view = model.view(sample.height, sample.width)
    state = model.encode_image(sample.image())
    assert isinstance(state, VisualState)
    assert state.view == view
    assert len(state.tokens) == view.n_tokens == model.n_tokens == GRID[0] * GRID[1]
    mask = sample.mask(sample.expressions[0])
    np.testing.assert_array_equal(view.coverage(mask), coverage(mask, GRID, SIZE).ravel())
    assert view.coverage(mask).dtype == np.float64


def test_what_lies_outside_the_crop_is_not_visible():
    wide = np.zeros((PATCH * 12, PATCH * 16), dtype=np.uint8)
    view = PlantedModel().view(*wide.shape)
    assert view.visible_fraction(wide) == 0.0
    wide[:, : PATCH * 4] = 1
    assert view.visible_fraction(wide) == visible_fraction(wide, SIZE) == 0.5


def test_tokens_of_a_video_are_ordered_by_frame():
    view = ImageView(Layout(2, 2, 2), crop_box(4, 4, 4), 4)
    masks = np.zeros((2, 4, 4), dtype=bool)
    masks[1, 2:, :2] = True
    assert view.n_tokens == 8
    assert view.coverage(masks).tolist() == [0, 0, 0, 0, 0, 0, 1, 0]
    assert view.visible_fraction(masks) == 1.0
    for wrong in (masks[0], np.concatenate([masks, masks])):
        with pytest.raises(ValueError, match="masks for 2 frames"):
            view.coverage(wrong)
    # Three frames of the clip, of which the model reads the last two as one.
    pair = ImageView(Layout(1, 2, 2), crop_box(4, 4, 4), 4, seen=((1, 2),))
    assert pair.coverage(np.concatenate([masks, masks[:1]])).tolist() == [0, 0, 0.5, 0]
    with pytest.raises(ValueError, match="2 masks for 3 frames"):
        pair.coverage(masks)


def test_the_plain_grounder_answers_every_request_once_in_equal_batches():
    model, sample = PlantedModel(), planted_data(1)[0]
    conversation = model.conversation([sample.expressions[0].sent])
    few, one = (Selection.from_indices(torch.arange(n), model.n_tokens) for n in (4, 1))
    requests = [Request(conversation, selection) for selection in (few, None, one, few, few)]
    grounder = model.grounder(2)
    batches = list(grounder(model.encode_image(sample.image()), requests))
    assert [batch.places for batch in batches] == [((1,),), ((2,),), ((0,), (3,)), ((4,),)]
    assert all(torch.equal(batch.masks, batch.logits > 0) for batch in batches)
    assert grounder.notes == []


def test_a_family_has_to_say_how_it_grounds():
    assert not issubclass(GroundingModel, TowerModel)
    with pytest.raises(TypeError, match="abstract"):
        GroundingModel()


def test_a_family_whose_language_model_cannot_be_read_says_so():
    model = PlantedModel()
    conversation = model.conversation(["ball"])
    state = model.encode_image(planted_data(1)[0].image())
    with pytest.raises(ValueError, match=r"of family 'planted' does not show; .* can be read"):
        model.query_conversation(state, conversation)


def test_a_run_names_the_attention_kernels_that_the_model_says():
    model = PlantedModel()
    assert model_identity(model)["attention"] == "clip=unknown"
    assert model_identity(model)["family"] == "other"
    assert not has_miniature_sizes(model.clip_tower)

    class Spoken(PlantedModel):
        attention_kernels: ClassVar = {"clip": "sdpa", "decoder": "eager"}

    assert model_identity(Spoken())["attention"] == "clip=sdpa, decoder=eager"


def test_a_family_whose_states_lack_the_last_layer_says_so():
    model = PlantedModel()
    state = model.encode_image(planted_data(1)[0].image())
    assert model.last_layer_embeds(state).shape[0] == len(state.tokens)
    with pytest.raises(ValueError, match="'planted' of family 'planted' do not keep; leave out"):
        GroundingModel.last_layer_embeds(model, state)
