"""Options of `litelvlm study` that reach the sweep or say where it runs."""

import pytest

from analysis.cli.study import Study
from analysis.ray_workers import RayWorkers


def test_options_of_the_sweep_reach_its_configuration():
    verb = Study(names=("sweep",), methods=("uniform", "litelvlm(order=raster)"), protocol="official", seeds=2)
    config = verb.configure("sweep")
    assert [method.label for method in config.methods] == ["uniform", "litelvlm(order=raster)"]
    assert (config.protocol, config.seeds) == ("official", 2)
    assert Study(names=("sweep",), batch_size=3).configure("sweep").batch_size == 3


def test_an_option_that_no_chosen_study_has_is_refused():
    with pytest.raises(ValueError, match="has the option --protocol"):
        Study(names=("sink",), protocol="official").configure("sink")


def test_a_cluster_address_needs_the_engine_that_reads_it():
    with pytest.raises(ValueError, match="add --engine ray"):
        Study(names=("sweep",), address="auto").computing()


def test_the_engine_is_used_within_the_block_only():
    from analysis import engine

    with Study(names=("sweep",), engine="ray", workers=3, address="auto").computing():
        workers = engine._MAPPER.get()
        assert isinstance(workers, RayWorkers)
        assert (workers.count, workers.address) == (3, "auto")
    assert engine._MAPPER.get() is None
