"""Interventions in CLIP's towers that show where a similarity comes from."""
