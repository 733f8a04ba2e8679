import re

import pytest
from etils import epath

from echodfkd_jax.reporting import html

NAME = '<script>alert("x")</script>'
FIGURE = html.Figure(light=b"light", dark=b"dark", alt=f"curve of {NAME}")
TABLE = html.Table(f"table {NAME}", NAME, ["", NAME], [[NAME, "0.5"]])
CLIP = html.ClipView(
    name=NAME, rank="best", facts=[(NAME, NAME)], animation=b"mp4", poster=b"png", curve=FIGURE
)
EVALUATION = html.EvaluationView(
    name=NAME,
    facts=[("clips", NAME)],
    notes=[NAME],
    summary=TABLE,
    groups=[TABLE],
    details=TABLE,
    figures=[FIGURE],
    legend=[(NAME, "#123456")],
    clips=[CLIP],
)


def page(**changes):
    fields = {
        "title": NAME,
        "fingerprint": "abc123",
        "facts": [(NAME, NAME)],
        "config": NAME,
        "loss": FIGURE,
        "evaluations": [EVALUATION],
    }
    return html.render(html.RunView(**{**fields, **changes}))


def test_every_text_is_escaped():
    rendered = page()
    assert "<script" not in rendered
    assert rendered.count("&lt;script&gt;") > 15


def test_attributes_cannot_be_left():
    assert 'alt="curve of &lt;script&gt;alert(&#34;x&#34;)' in page()


def test_nothing_is_fetched():
    rendered = page()
    addresses = re.findall(r'(?:src|srcset|href|poster)="([^"]*)"', rendered)
    assert len(addresses) > 5
    assert all(address.startswith("data:") for address in addresses)
    assert "default-src 'none'" in rendered
    assert "url(" not in rendered and "@import" not in rendered


def test_pictures_are_inside():
    rendered = page()
    assert "data:video/mp4;base64,bXA0" in rendered
    assert "data:image/png;base64,bGlnaHQ=" in rendered
    assert "data:image/png;base64,ZGFyaw==" in rendered


def test_the_warning_stands_beside_the_numbers():
    assert "Research software, not a medical device." in page()


def test_a_run_without_evaluation_says_what_to_do():
    rendered = page(evaluations=[], loss=None)
    assert "--stage=evaluate" in rendered
    assert "no training curves" in rendered


def test_the_page_tells_what_it_was_made_from(tmp_path):
    path = epath.Path(tmp_path) / "index.html"
    assert html.fingerprint_of(path) == ""
    path.write_text(page())
    assert html.fingerprint_of(path) == "abc123"


@pytest.mark.parametrize("content", ["", "<html>", '<meta name="echodfkd-inputs" content="x'])
def test_another_page_tells_nothing_of_use(tmp_path, content):
    path = epath.Path(tmp_path) / "index.html"
    path.write_text(content)
    assert html.fingerprint_of(path) != "abc123"
