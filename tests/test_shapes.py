"""Annotations of shapes are checked here, and not where a test says so."""

from dataclasses import replace

import jaxtyping
import numpy as np
import pytest

from seepage.errors import InputError
from seepage.metrics.roc import auc
from seepage.signals.view import View

SCORES, MEMBERS = np.zeros(4), np.array([True, False])
VIEW = View({"loss": np.zeros((4, 1, 1))}, np.zeros(4, dtype=int), target_column=0)


def test_a_function_is_given_what_its_annotations_say():
    with pytest.raises(jaxtyping.TypeCheckError, match="members"):
        auc(SCORES, MEMBERS)


def test_a_data_class_is_made_of_what_its_annotations_say():
    with pytest.raises(jaxtyping.TypeCheckError, match="population"):
        replace(VIEW, population=np.zeros(5, dtype=bool))


def test_what_a_user_would_read_can_be_tested(wrong_shapes):
    with pytest.raises(InputError, match="shape"):
        auc(SCORES, MEMBERS)
    with pytest.raises(InputError, match="population of shape"):
        replace(VIEW, population=np.zeros(5, dtype=bool))
