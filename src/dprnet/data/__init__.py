"""Readers of labelled data sets, transforms, pasted scenes and the made-up world."""
