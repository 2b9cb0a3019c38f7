import pytest

from tests.report.example_results import VARIANTS


@pytest.fixture(params=sorted(VARIANTS), scope="session")
def variant(request):
    """Each kind of result that a report must be able to say something about."""
    return VARIANTS[request.param]()


@pytest.fixture(scope="session")
def leak():
    return VARIANTS["leak"]()


@pytest.fixture(scope="session")
def hostile():
    return VARIANTS["hostile"]()
