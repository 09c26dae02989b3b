"""A plug-in for lmms-eval: two models, referring segmentation, and tasks that need no download.

Only ``models``, ``tasks`` and ``manifests`` import lmms-eval (extra ``lmms``). The rest of the
project imports none of them. ``samples`` reads back what lmms-eval logs, without it.
"""
