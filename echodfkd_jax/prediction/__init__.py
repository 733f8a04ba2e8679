"""A clip that somebody brings: from its file to masks, numbers and files."""
