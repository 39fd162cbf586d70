"""The workshop: trains the detector and the embedder from recipes."""
