from functools import cache

import pytest

from seepage.report.render import html
from tests.report.example_results import VARIANTS

RESULTS = {name: build() for name, build in VARIANTS.items()}
page_source = cache(lambda name: html(RESULTS[name]))  # drawing the figures takes a second


@pytest.fixture(params=sorted(VARIANTS))
def name(request):
    """Each kind of result that a report must be able to say something about."""
    return request.param


@pytest.fixture
def variant(name):
    return RESULTS[name]


@pytest.fixture
def source(name):
    return page_source(name)


@pytest.fixture
def leak():
    return RESULTS["leak"]


@pytest.fixture
def hostile():
    return RESULTS["hostile"]
