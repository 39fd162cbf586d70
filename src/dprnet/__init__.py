"""Detect, Pick and Retrieve: the clothes worn in a video, each once, in its best view, found in a catalogue."""

__version__ = "0.1.0"
