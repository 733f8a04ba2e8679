"""What mkdocs does besides: pages from outside of docs/, and one API page for every room."""

import pathlib
import posixpath

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "echodfkd_jax"
# Page of the site -> file of the repository that it is.
ELSEWHERE = {
    "changes.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "data_sets.md": "data/README.md",
    "measured.md": "benchmarks/RESULTS.md",
}


def rooms():
    """Names of the package's rooms, folders and single files."""
    found = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules()}
    return sorted(found - {"__init__"})


def modules():
    """Files of the package that others may read."""
    return [path for path in PACKAGE.rglob("*.py") if "templates" not in path.parts]


def on_config(config):
    """Lists the API pages."""
    pages = [{"echodfkd_jax": "api/index.md"}]
    pages += [{name: f"api/{name}.md"} for name in rooms()]
    config.nav = [entry if "API" not in entry else {"API": pages} for entry in config.nav]
    return config


def on_files(files, config):
    """Adds pages that are no files of docs/."""
    made = {page: (ROOT / source).read_text() for page, source in ELSEWHERE.items()}
    made["api/index.md"] = _reference("echodfkd_jax", "show_submodules: false")
    made |= {f"api/{name}.md": _reference(f"echodfkd_jax.{name}") for name in rooms()}
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    """Turns links to files outside of docs/ into links to the pages that they are."""
    here = page.file.src_uri
    source = ELSEWHERE.get(here, f"docs/{here}")
    places = {name: name.removeprefix("docs/") for name in _documents()}
    places |= {name: place for place, name in ELSEWHERE.items()}
    for name, place in places.items():
        link = posixpath.relpath(name, posixpath.dirname(source) or ".")
        for end in (")", "#"):
            markdown = markdown.replace(f"]({link}{end}", f"]({place}{end}")
    return markdown


def on_post_build(config):
    """Refuses a site in which a module of the package is missing."""
    pages = [path.read_text() for path in pathlib.Path(config.site_dir, "api").glob("*.html")]
    for path in modules():
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        if not any(f'id="{name}"' in page for page in pages):
            raise PluginError(f"{name} is not in the API reference")


def _reference(name, *options):
    lines = [f"::: {name}", "    options:", *(f"      {option}" for option in options)]
    return "\n".join(lines if options else lines[:1]) + "\n"


def _documents():
    return [path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*") if path.is_file()]
