"""Stands in for an outlined clip: it knows one beat, and takes any corrections that are objects."""

from echodfkd_jax.errors import UserError

RECORD = {"ef_disks_percent": 57.4, "beats": [{"ed_frame": 3, "es_frame": 12}]}


class StandInClip:
    """Remembers its name."""

    def __init__(self, name="clip", num_bytes=100):
        self.name = name
        self.num_bytes = num_bytes

    def opened(self):
        return {"predicted": RECORD, "formats": ["nifti"]}

    def pictures(self):
        return [b"first", b"second one"]

    def measured(self, content):
        if content is not None and not isinstance(content, dict):
            raise UserError(f"{content!r} is no correction")
        return {"corrections": content or None, "record": {**RECORD, "told": content}}

    def write_results(self, content, folder, name, form):
        if form not in ("", "nifti"):
            raise UserError(f"{form!r} is not offered")
        (folder / f"{name}.{form or 'json'}").write_text(str(content))


def write_corrections(folder, corrected):
    (folder / "Videos").mkdir()
    for name, clip, content in corrected:
        (folder / "Videos" / f"{name}.txt").write_text(f"{clip.name} {content}")
