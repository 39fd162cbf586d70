"""Picks and photos -> embeddings (paper, section 3.3 and figure 4)."""
