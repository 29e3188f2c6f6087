"""The audit of a data set before the first step of a training."""

from segexp.data.audit.audit import Audit, audit

__all__ = ["Audit", "audit"]
