"""The report page: one file with everything in it, readable without a network.

What goes in is plain data; `templates/report.html` decides how it looks. Every text is escaped.
"""

import base64
import dataclasses
import pathlib
from collections.abc import Sequence

from etils import epath

TEMPLATES = pathlib.Path(__file__).parent / "templates"
PAGE, COMPARISON_PAGE = "report.html", "comparison.html"


@dataclasses.dataclass(frozen=True)
class Figure:
    """A plot in two styles, of which the browser takes the one that the reader prefers.

    Attributes:
        light: PNG.
        dark: PNG.
        alt: what it shows, in words.
    """

    light: bytes
    dark: bytes
    alt: str

    @property
    def light_uri(self) -> str:
        """The light PNG as a data URI."""
        return data_uri(self.light, "image/png")

    @property
    def dark_uri(self) -> str:
        """The dark PNG as a data URI."""
        return data_uri(self.dark, "image/png")


@dataclasses.dataclass(frozen=True)
class ClipView:
    """One clip.

    Attributes:
        name: the clip's.
        rank: "best", "median", "worst".
        facts: label and value.
        animation: MP4.
        poster: PNG, shown until the animation is.
        curve: areas over time.
    """

    name: str
    rank: str
    facts: Sequence[tuple[str, str]]
    animation: bytes
    poster: bytes
    curve: Figure

    @property
    def animation_uri(self) -> str:
        """The MP4 as a data URI."""
        return data_uri(self.animation, "video/mp4")

    @property
    def poster_uri(self) -> str:
        """The PNG as a data URI."""
        return data_uri(self.poster, "image/png")


@dataclasses.dataclass(frozen=True)
class Table:
    """Text in rows.

    Attributes:
        title: above it.
        note: below the title; may be empty.
        head: of the columns.
        rows: cells.
    """

    title: str
    note: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class EvaluationView:
    """One evaluation.

    Attributes:
        name: the split's or the folder's.
        facts: label and value.
        notes: sentences that belong to the numbers.
        summary: the few numbers to look at first.
        groups: tables of their own: of subsets, of the published protocols, of a judge.
        details: every metric.
        figures: over all clips.
        legend: model and its colour, `#rrggbb`.
        clips: best to worst.
    """

    name: str
    facts: Sequence[tuple[str, str]]
    notes: Sequence[str]
    summary: Table
    groups: Sequence[Table]
    details: Table
    figures: Sequence[Figure]
    legend: Sequence[tuple[str, str]]
    clips: Sequence[ClipView]


@dataclasses.dataclass(frozen=True)
class RunView:
    """The whole page.

    Attributes:
        title: of the page.
        fingerprint: of what it was made from, kept in its header.
        facts: label and value: what was run.
        config: the resolved configuration, as text.
        loss: curves of the training; None before there are any.
        evaluations: one section each.
    """

    title: str
    fingerprint: str
    facts: Sequence[tuple[str, str]]
    config: str
    loss: Figure | None
    evaluations: Sequence[EvaluationView]


@dataclasses.dataclass(frozen=True)
class PairView:
    """A clip as several students outline it.

    Attributes:
        name: the clip's.
        facts: label and value.
        curve: areas over time; None where they are not known.
    """

    name: str
    facts: Sequence[tuple[str, str]]
    curve: Figure | None


@dataclasses.dataclass(frozen=True)
class ComparedView:
    """Students that were evaluated on the same clips.

    Attributes:
        name: of the clips.
        candidates: who they are.
        notes: sentences that belong to the numbers.
        tables: numbers and their differences, over all clips and by subset.
        details: every number.
        figures: over all clips.
        legend: student and its colour, `#rrggbb`.
        clips: those on which they differ most.
    """

    name: str
    candidates: Table
    notes: Sequence[str]
    tables: Sequence[Table]
    details: Table
    figures: Sequence[Figure]
    legend: Sequence[tuple[str, str]]
    clips: Sequence[PairView]


@dataclasses.dataclass(frozen=True)
class ComparisonView:
    """The whole page of a comparison.

    Attributes:
        title: of the page.
        fingerprint: of what it was made from, kept in its header.
        sections: one for each set of clips.
    """

    title: str
    fingerprint: str
    sections: Sequence[ComparedView]


def render(page: RunView | ComparisonView) -> str:
    """The page as text."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    name = PAGE if isinstance(page, RunView) else COMPARISON_PAGE
    return environment.get_template(name).render(page=page)


def templates_digest() -> bytes:
    """Changes whenever a page looks otherwise."""
    return b"".join(path.read_bytes() for path in sorted(TEMPLATES.glob("*.html")))


def data_uri(content: bytes, media_type: str) -> str:
    """Bytes as an address that holds them."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def fingerprint_of(page: epath.Path) -> str:
    """What a page was made from, as it says in its header; "" without a page."""
    if not page.is_file():
        return ""
    with page.open("rb") as file:
        header = file.read(4096).decode(errors="replace")
    _, found, rest = header.partition('<meta name="echodfkd-inputs" content="')
    return rest.partition('"')[0] if found else ""
