"""A page for the browser: a clip goes in, its outlined loop, curve and numbers come out."""

from echodfkd_jax.page.application import Application

__all__ = ["Application"]
