"""Tables in several files, encoded as one."""

import pytest

from seepage.data.files import pools_from_files
from seepage.errors import InputError


def test_tables_that_belong_together_are_encoded_together(tmp_path):
    """Apart, 'b' and 'c' would both become the second column, and two different records the same."""
    (tmp_path / "in.csv").write_text("town,income\na,low\nb,high\n")
    (tmp_path / "out.csv").write_text("town,income\na,low\nc,low\n")
    inside, outside = pools_from_files([tmp_path / "in.csv", tmp_path / "out.csv"], {"label": "income"})
    assert inside.inputs.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert outside.inputs.tolist() == [[1, 0, 0], [0, 0, 1]]
    assert inside.classes == outside.classes == ("high", "low")


def test_tables_with_other_columns_are_refused_by_name(tmp_path):
    (tmp_path / "in.csv").write_text("x,y\n1,0\n")
    (tmp_path / "out.csv").write_text("x,z\n1,0\n")
    with pytest.raises(InputError, match=r"only one of them has: y, z"):
        pools_from_files([tmp_path / "in.csv", tmp_path / "out.csv"], {})


def test_tables_and_arrays_do_not_mix(tmp_path):
    with pytest.raises(InputError, match="tables only or arrays only"):
        pools_from_files([tmp_path / "in.csv", tmp_path / "out.npz"], {})
