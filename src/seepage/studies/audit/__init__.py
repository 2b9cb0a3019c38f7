"""The audit: evidence, attacks scored on it, gates, numbers and a verdict."""

from seepage.studies.audit.audit import audit, audit_outputs, audit_recipe
from seepage.studies.settings import Settings

__all__ = ["Settings", "audit", "audit_outputs", "audit_recipe"]
