"""A page for the browser: clips are outlined there, and what is found can be corrected."""

from echodfkd_jax.page.application import Application

__all__ = ["Application"]
