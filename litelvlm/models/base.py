"""Placeholder until the seam of the models room is merged."""

from typing import Any

GroundingModel = Any
