"""Claims of the emergence study and what they mean together."""

from litelvlm.analysis.studies.emergence.claims.every import interpret, make_claims

__all__ = ["interpret", "make_claims"]
