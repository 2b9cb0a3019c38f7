"""Other non-members in a comparison and in configurations: counted in every row, over all seeds."""

import numpy as np
import pytest
from click.testing import CliRunner

import seepage
from seepage.cli import main
from seepage.data import Pool
from seepage.errors import InputError
from seepage.report.render import html, markdown
from seepage.runs.run import Run
from seepage.schema.audit import AuditResult
from seepage.schema.comparison import ComparisonResult
from seepage.studies.attacker import Attacker
from seepage.studies.compare import Choice, Draw, compare

RNG = np.random.default_rng(0)
POOL = Pool(RNG.normal(size=(120, 5)).astype(np.float32), RNG.integers(0, 3, 120), n_classes=3)
FAR = Pool(RNG.normal(size=(30, 5)).astype(np.float32) + 5)
ASKED = {
    "recipe": seepage.Recipe(seepage.MLP, epochs=3),
    "defences": [Choice("temperature", {"temperature": 5.0})],
    "draw": Draw(seeds=(0, 1), references=4),
    "attacker": Attacker(["loss", "entropy"]),
}


def test_every_row_has_the_mean_over_its_audits(tmp_path):
    run = Run(tmp_path, engine="single", workers=0)
    result = compare(POOL, other_nonmembers={"far": FAR}, run=run, **ASKED)
    assert [[one.name for one in row.other_nonmembers] for row in result.defences] == [["far"], ["far"]]
    for row in result.defences:
        audits = [AuditResult.load(tmp_path / seed.folder).other_nonmembers[0] for seed in row.per_seed]
        for name in ("loss", "entropy"):
            rates = [audit.on(name).false_positive_rate.value for audit in audits]
            assert row.other_nonmembers[0].on(name).false_positive_rate.value == pytest.approx(np.mean(rates))
    assert ComparisonResult.load(tmp_path).defences == result.defences
    for page in (html(result), markdown(result)):
        assert "far: 30 records, over all seeds" in page
    before = (tmp_path / "undefended" / "seed-0" / "result.json").read_bytes()
    compare(POOL, other_nonmembers={"far": FAR}, run=run, **ASKED)
    assert (tmp_path / "undefended" / "seed-0" / "result.json").read_bytes() == before
    with pytest.raises(InputError, match=r"other_nonmembers\['far'\] must be"):
        compare(POOL, other_nonmembers={"far": FAR.inputs}, run=run, **ASKED)


def test_a_configuration_names_them(tmp_path):
    np.savez(tmp_path / "far.npz", inputs=FAR.inputs)
    np.savez(tmp_path / "pool.npz", inputs=POOL.inputs, labels=POOL.labels)
    (tmp_path / "audit.yaml").write_text(
        f"data: {{file: {tmp_path / 'pool.npz'}}}\nrecipe: {{architecture: mlp, epochs: 1}}\nreferences: 2\n"
        f"attacks: [loss]\ncontrols: false\nengine: single\nworkers: 0\nout: {tmp_path / 'out'}\n"
        f"other_nonmembers: {{far: {{file: {tmp_path / 'far.npz'}}}}}\n"
    )
    done = CliRunner().invoke(main, ["audit", str(tmp_path / "audit.yaml")])
    assert done.exit_code == 0, (done.output, done.exception)
    (far,) = AuditResult.load(tmp_path / "out").other_nonmembers
    assert (far.name, far.n, far.labels) == ("far", 30, "predicted")
