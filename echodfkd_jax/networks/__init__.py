"""Every network with its layers, and how a network outlines clips and streams of frames."""

from echodfkd_jax.networks.convlstm import ConvLSTMUNet
from echodfkd_jax.networks.inference import predict_clip, predict_clips

__all__ = ["ConvLSTMUNet", "predict_clip", "predict_clips"]
