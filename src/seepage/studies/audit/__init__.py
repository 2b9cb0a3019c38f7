"""The audit: evidence, attacks scored on it, gates, numbers and a verdict."""

from seepage.studies.audit.audit import audit
from seepage.studies.audit.settings import Settings

__all__ = ["Settings", "audit"]
