"""A release and releases at other epsilons, audited side by side from Python."""

import math

import numpy as np
import pytest

from seepage.data import Pool
from seepage.errors import InputError
from seepage.studies.release.epsilons import audit_at_epsilons
from seepage.synthesis import NetworkOptions, synthesise

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, 160)
WHOLE = Pool(RNG.normal(size=(160, 4)) + LABELS[:, None], LABELS, name="drawn")
MEMBERS, HOLDOUT = WHOLE.subset(range(80)), WHOLE.subset(range(80, 160))
OPTIONS = {"training": NetworkOptions(latent=3, epochs=2), "labels": "kept"}


@pytest.fixture(scope="module")
def made():
    return synthesise(MEMBERS, epsilon=30.0, rng=1, **OPTIONS)


def test_the_release_comes_first_and_all_are_audited_by_the_same_seed(made, monkeypatch):
    """What an audit itself finds is tested elsewhere; here it is told what it is given."""

    def given(release, members, holdout, *, pipeline, rng):
        assert (members, holdout) == (MEMBERS, HOLDOUT)
        return release.fingerprint, pipeline, rng.integers(2**62)

    monkeypatch.setattr("seepage.studies.release.epsilons.audit_released", given)
    audits = audit_at_epsilons(made, MEMBERS, HOLDOUT, epsilons=[2.0, math.inf], seed=4, **OPTIONS)
    assert list(audits) == ["epsilon 30", "epsilon 2", "no noise"]
    assert audits["epsilon 30"][:2] == (made.pool.fingerprint, made)
    assert len({fingerprint for fingerprint, _, _ in audits.values()}) == 3
    assert [pipeline.guarantee.epsilon for _, pipeline, _ in audits.values()] == [30.0, 2.0, math.inf]
    assert all(pipeline.vaes == made.vaes for _, pipeline, _ in audits.values())
    assert {drawn for _, _, drawn in audits.values()} == {np.random.default_rng([4, 7]).integers(2**62)}


@pytest.mark.parametrize("epsilons", [[30.0], [2.0, 2.0], [-1.0], [math.nan]])
def test_epsilons_that_cannot_be_are_refused(made, epsilons):
    with pytest.raises(InputError, match="others than 30 and each once"):
        audit_at_epsilons(made, MEMBERS, HOLDOUT, epsilons=epsilons, **OPTIONS)
