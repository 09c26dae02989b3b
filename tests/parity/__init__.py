"""Our answers to the inputs that the official code was recorded on."""
