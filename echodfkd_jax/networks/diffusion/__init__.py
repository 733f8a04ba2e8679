"""The networks of the learned generators, and those that their makers judge and filter with.

Layers carry the names of the published PyTorch modules, an index joined by an underscore
(`down_blocks.0.resnets.1` is `down_blocks_0/resnets_1`), so that importing is a renaming
(`interop/torch_modules.py`). They compute in the type of their weights and inputs: float32 as
published; for bfloat16 hand in both so. Statistics of normalisations and softmax are float32 in any
case. On accelerators ask for full float32 products with `jax.default_matmul_precision`.
"""
