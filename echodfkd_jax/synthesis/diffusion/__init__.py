"""Learned generators' arithmetic: noise levels, samplers, windows of long clips, privacy.

A noisy state is `signal * clean + noise * n` with standard normal n. A schedule says which levels a
sampler visits (`schedules`), a prediction is turned into estimates of `clean` and of n at a level
(`predictions`, `edm`), and samplers step from level to level (`samplers`). EchoNet-Synthetic and
DiffEcho (DDPM), Free-Echo (EDM) and linear flows differ in nothing else.

Where a released system departs from what it says it does, both behaviours are here: the repaired
one, and the released one as `published=True`.
"""
