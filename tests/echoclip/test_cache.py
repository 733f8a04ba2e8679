import numpy as np

from echodfkd_jax.echoclip.cache import embed_clip


class CountingJudge:
    name = "counting"

    def __init__(self, fingerprint="counting-1"):
        self.fingerprint = fingerprint
        self.calls = 0

    def embed_images(self, frames):
        self.calls += 1
        return np.full((len(frames), 2), frames.mean(), np.float32)

    def embed_texts(self, texts):
        raise AssertionError("no texts here")


def test_a_clip_is_embedded_once(tmp_path):
    judge = CountingJudge()
    frames = np.full((3, 4, 4), 7, np.uint8)
    first = embed_clip(judge, frames, tmp_path)
    second = embed_clip(judge, frames.copy(), str(tmp_path))
    assert judge.calls == 1
    np.testing.assert_array_equal(second, first)


def test_other_pixels_another_shape_or_another_judge_are_embedded_again(tmp_path):
    frames = np.full((4, 4, 4), 7, np.uint8)
    judge = CountingJudge()
    other = CountingJudge("counting-2")
    embed_clip(judge, frames, tmp_path)
    embed_clip(judge, frames + np.uint8(1), tmp_path)
    embed_clip(judge, frames.reshape(2, 4, 8), tmp_path)
    embed_clip(other, frames, tmp_path)
    assert (judge.calls, other.calls) == (3, 1)


def test_a_damaged_file_is_written_anew(tmp_path):
    judge = CountingJudge()
    frames = np.zeros((3, 4, 4), np.uint8)
    embed_clip(judge, frames, tmp_path)
    (path,) = tmp_path.rglob("*.npy")
    path.write_bytes(path.read_bytes()[:100])
    assert embed_clip(judge, frames, tmp_path).shape == (3, 2)
    embed_clip(judge, frames, tmp_path)
    assert judge.calls == 2


def test_without_a_folder_nothing_is_kept():
    judge = CountingJudge()
    frames = np.zeros((3, 4, 4), np.uint8)
    embed_clip(judge, frames)
    embed_clip(judge, frames)
    assert judge.calls == 2
