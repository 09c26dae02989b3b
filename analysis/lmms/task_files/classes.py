"""Task classes for the files of this folder, which name their class by this module."""

from litelvlm.analysis.lmms.tasks import (
    EmbeddedGqa,
    EmbeddedPope,
    EmbeddedRes,
    EmbeddedVqa,
    RefcocogTest,
    RefcocogVal,
    RefcocoPlusTestA,
    RefcocoPlusTestB,
    RefcocoPlusVal,
    RefcocoTestA,
    RefcocoTestB,
    RefcocoVal,
)

__all__ = [
    "EmbeddedGqa",
    "EmbeddedPope",
    "EmbeddedRes",
    "EmbeddedVqa",
    "RefcocoPlusTestA",
    "RefcocoPlusTestB",
    "RefcocoPlusVal",
    "RefcocoTestA",
    "RefcocoTestB",
    "RefcocoVal",
    "RefcocogTest",
    "RefcocogVal",
]
