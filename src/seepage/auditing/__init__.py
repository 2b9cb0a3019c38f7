"""The audit: evidence, attacks scored on it, gates, numbers and a verdict."""

from seepage.auditing.audit import audit
from seepage.auditing.settings import Settings

__all__ = ["Settings", "audit"]
