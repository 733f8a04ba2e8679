"""The measured figures as a table to be read."""

from typing import Any

_EXTRA = {
    "note": "{}",
    "frames_per_s": "{:,.0f} frames/s",
    "share_of_generation": "generation is {:.0%} of the step",
    "times_as_fast": "a window {:.0f} times as fast as a record",
    "input_over_step": "input {:.0f} times as fast as the step",
    "exponent": "grows with exponent {:.2f}",
}


def table(results: dict[str, Any]) -> str:
    """Markdown: a row per case, times as median (quartiles), with what follows from them."""
    lines = [
        "# Measured",
        "",
        "Made by `python -m benchmarks --versus torch`; each figure names its commit.",
        "",
    ]
    for figure, found in results.items():
        lines += [
            f"## {figure}",
            "",
            f"{found['device']}, {found['date']}, commit {found['commit']}, JAX {found['jax']}.",
            "",
            "| case | time: median (quartiles) | |",
            "|---|---|---|",
        ]
        lines += [_row(row) for row in found["rows"]]
        lines.append("")
    return "\n".join(lines)


def _row(row: dict[str, Any]) -> str:
    times = row["times"]
    shown = "; ".join(
        f"{name} {_seconds(t['median_s'])} ({_seconds(t['low_s'])} to {_seconds(t['high_s'])})"
        for name, t in times.items()
    )
    notes = [text.format(row[key]) for key, text in _EXTRA.items() if key in row]
    if "torch" in times:
        notes.append(f"{times['ours']['median_s'] / times['torch']['median_s']:.2f} of PyTorch")
    if "floor_s" in row:
        notes.append(f"{times['ours']['median_s'] / row['floor_s']:.1f} times the floor")
    return f"| {row['case']} | {shown} | {'; '.join(notes)} |"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.3g} ms"
