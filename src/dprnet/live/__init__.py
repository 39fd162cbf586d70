"""Streams that do not end, or not yet: garments told of seconds after they are first seen (`dprnet watch`).

config      what a watch may take          source      which addresses are opened, and how
growing     a file that still grows        reading     frames as they come, in a process of their own (child)
connection  that process, and coming back  garments    who was seen, in bounded memory
watch       all of it joined
"""
