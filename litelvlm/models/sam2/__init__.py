"""SAM2 as a mask decoder of images and clips, prompted by embeddings of a language model."""
