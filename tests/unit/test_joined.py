"""Rows of several runs carry what their records say."""

import pytest

from litelvlm.analysis.runs.folder import read_record
from litelvlm.analysis.runs.joined import joined_rows
from litelvlm.analysis.runs.parts import read_rows

KEYS = "run_id code_sha seed model_id dtype device protocol dataset split image_id ref_id sent_id ann_id category_id"


def test_rows_of_several_runs_are_told_apart(saved_runs):
    folders = [saved_runs["reversal"], saved_runs["sink"], saved_runs["sweep"]]
    rows = joined_rows(folders)
    assert set(KEYS.split()) | {"n_words", "area_frac", "visible_frac"} <= set(rows.columns)
    assert rows.loc[rows["study"] == "sweep", ["n_in", "tiny"]].notna().all(axis=None)
    assert rows[KEYS.split()].drop(columns="code_sha").notna().all(axis=None)
    for folder, (name, group) in zip(folders, rows.groupby("study", sort=False), strict=True):
        record, own = read_record(folder), read_rows(folder)
        assert (name, len(group)) == (record.study, len(own))
        assert folder.name == f"{name}-{group['run_id'].iloc[0]}"
        assert set(group["code_sha"]) == {record.commit}
        assert set(group["model_id"]) == {"planted"}
    # A random method's own seeds are not those of the run.
    assert (
        set(rows.loc[rows["study"] == "sweep", "seed"])
        == set(read_rows(saved_runs["sweep"])["seed"])
        == {0, 1}
    )


def test_no_run_is_refused():
    with pytest.raises(ValueError, match="at least one run folder"):
        joined_rows([])
