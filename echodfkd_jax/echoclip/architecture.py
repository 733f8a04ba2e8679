"""The sizes of an open_clip model with a ConvNeXt image tower and a causal text tower."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What has to be known to build the two towers; the defaults are open_clip's `convnext_base`.

    EchoCLIP (Christensen et al., Nature Medicine 2024) has these sizes.

    Attributes:
        image_size_px: side of the square that the image tower sees.
        depths: ConvNeXt blocks in each stage.
        widths: channels in each stage.
        embedding: length of the embeddings that both towers end in.
        context_length: tokens per text.
        vocabulary: number of tokens.
        text_width: channels of the text tower.
        text_heads: attention heads of the text tower.
        text_layers: transformer blocks of the text tower.
        mean: per channel (red, green, blue), subtracted from an image in 0..1.
        std: per channel, divides the image after the mean is subtracted.
    """

    image_size_px: int = 224
    depths: tuple[int, ...] = (3, 3, 27, 3)
    widths: tuple[int, ...] = (128, 256, 512, 1024)
    embedding: int = 512
    context_length: int = 77
    vocabulary: int = 49408
    text_width: int = 512
    text_heads: int = 8
    text_layers: int = 12
    # open_clip's OPENAI_DATASET_MEAN and OPENAI_DATASET_STD.
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)


ECHOCLIP = Architecture()
