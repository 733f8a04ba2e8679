"""The published student's architecture in plain PyTorch: what the JAX student is compared with.

Written from the paper's description (Petit et al., arXiv 2409.07566), with the entry names of the
published checkpoints, so that `interop.torch_student` carries weights both ways and the outputs can
be held against each other. Needs PyTorch, which nothing else of the main job does.
"""

import torch
from torch import nn


class Cell(nn.Module):
    """A ConvLSTM cell: one convolution over input and state, gates in the order i, f, o, g."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs + hidden, 4 * hidden, 3, padding=1)
        self.hidden = hidden

    def forward(self, x: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor]):
        """One frame: (b, inputs, h, w) and (h, c) to the next (h, c)."""
        h, c = state
        gates = self.conv(torch.cat([x, h], 1))
        i, f, o, g = gates.split(self.hidden, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class Recurrent(nn.Module):
    """The cell over the frames of a clip, from a zero state."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.cell = Cell(inputs, hidden)

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """(b, t, c, h, w) to (b, t, hidden, h, w)."""
        b, _, _, height, width = video.shape
        zero = video.new_zeros(b, self.cell.hidden, height, width)
        state, outputs = (zero, zero), []
        for x in video.unbind(1):
            state = self.cell(x, state)
            outputs.append(state[0])
        return torch.stack(outputs, 1)


class Framewise(nn.Module):
    """A layer that knows no time, on all frames at once."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """(b, t, c, h, w) to the same with the layer's channels and size."""
        out = self.layer(video.flatten(0, 1))
        return out.unflatten(0, video.shape[:2])


class _Stack(nn.Module):
    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.conv_lstm_layers = nn.ModuleList(layers)

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        for layer in self.conv_lstm_layers:
            video = layer(video)
        return video


class TorchStudent(nn.Module):
    """k blocks of n ConvLSTM layers, an upsampling decoder without skips, a 1x1 head."""

    def __init__(self, blocks: int, layers: int, filters: int = 12) -> None:
        super().__init__()
        widths = [filters * 2**block for block in range(blocks)]
        stacks, inputs = [], 1
        for width in widths:
            stack: list[nn.Module] = []
            for _ in range(layers):
                stack += [Recurrent(inputs, width), Framewise(nn.BatchNorm2d(width))]
                inputs = width
            stacks.append(_Stack(stack))
        self.conv_lstm_blocks = nn.ModuleList(stacks)
        self.pool = Framewise(nn.MaxPool2d(2))
        self.conv_lstm_upsampling = nn.ModuleList(
            _Stack(
                [
                    Framewise(nn.Upsample(scale_factor=2, mode="nearest")),
                    Framewise(nn.Conv2d(2 * width, width, 3, padding=1)),
                    Framewise(nn.BatchNorm2d(width)),
                ]
            )
            for width in reversed(widths[:-1])
        )
        self.output_layer = Framewise(nn.Conv2d(filters, 1, 1))

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """(b, t, 1, h, w), 0..255, to logits of the same shape."""
        for index, block in enumerate(self.conv_lstm_blocks):
            video = block(self.pool(video) if index else video)
        for step in self.conv_lstm_upsampling:
            video = step(video)
        return self.output_layer(video)
