"""The miniature GLaMM: CLIP, SAM and the language side, trained one after another."""
