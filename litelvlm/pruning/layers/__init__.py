"""Methods that drop visual tokens between the layers of the language model."""
