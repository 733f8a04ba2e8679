"""The recurrent student: whole clips in training, whole clips or streams of frames after it."""

from echodfkd_jax.student.convlstm import ConvLSTMUNet
from echodfkd_jax.student.inference import predict_clip, predict_clips

__all__ = ["ConvLSTMUNet", "predict_clip", "predict_clips"]
