"""How each precision looks in figures."""

PRECISIONS = {
    "none": ("all bits", "#1b1b1b", "o"),
    "int8": ("int8", "#0072B2", "s"),
    "nf4": ("NF4", "#D55E00", "^"),
    "nf4_double": ("NF4, scales in 8 bits", "#CC79A7", "v"),
    "fp4": ("FP4", "#009E73", "D"),
}
"""Name, colour and marker of each precision."""
