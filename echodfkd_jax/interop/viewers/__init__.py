"""Outlined clips for the viewers and tools that other people use."""
