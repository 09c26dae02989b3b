"""Checkpoint folders of any family: files, tables of names, modules filled with weights."""
