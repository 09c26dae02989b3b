"""Open choices inside the model, read from text."""

import pytest

from litelvlm.models.glamm.options import GlammOptions


def test_every_kind_of_value_is_read():
    found = GlammOptions.parse(
        ["read=seg", "patch_norm=False", "mask_decoder_eps=1e-6", "crop=pad"]
    )
    assert found == GlammOptions(read="seg", patch_norm=False, mask_decoder_eps=1e-6, crop="pad")
    assert GlammOptions.parse([]) == GlammOptions()


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        (["read"], "not of the form field=value"),
        (["reed=seg"], "unknown option 'reed'; did you mean 'read'"),
        (["read=sag"], "unknown read 'sag'; did you mean 'seg'"),
        (["read=seg", "read=seg"], "read is given twice"),
        (["patch_norm=1"], "unknown patch_norm '1'. Allowed: false, true"),
        (["mask_decoder_eps=small"], "mask_decoder_eps 'small' is not a number"),
        (["mask_decoder_eps=0"], r"0.0 is not in \(0, inf\)"),
        (["mask_decoder_eps=nan"], r"nan is not in \(0, inf\)"),
        (["mask_decoder_eps=inf"], r"inf is not in \(0, inf\)"),
    ],
)
def test_what_is_refused(entries, reason):
    with pytest.raises(ValueError, match=reason):
        GlammOptions.parse(entries)


@pytest.mark.parametrize("value", ["1e-6", True, None])
def test_what_is_no_number_is_refused_in_python_too(value):
    with pytest.raises(ValueError, match="is not allowed; give a number"):
        GlammOptions.check({"mask_decoder_eps": value})
