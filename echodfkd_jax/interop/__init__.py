"""Weights of other frameworks and file formats, in and out."""
