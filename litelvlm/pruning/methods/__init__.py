"""One file for each pruning method, with the controls and the oracles beside them."""
