"""SAM's side of GLaMM: its image encoder and its mask decoder."""
