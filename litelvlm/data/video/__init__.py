"""Clips with expressions: Ref-DAVIS17, MeViS, Ref-YouTube-VOS and ReVOS in their layouts."""
