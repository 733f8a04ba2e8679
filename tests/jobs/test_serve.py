"""The page in a real browser: clips come back outlined, bad files are refused in words."""

import importlib.resources
import zipfile

import pytest

from configs import synthetic
from echodfkd_jax.errors import UserError
from echodfkd_jax.jobs import serve
from tests.jobs import served


@pytest.mark.parametrize(
    ("field", "value"), [("port", -1), ("port", 65536), ("max_upload_mib", 0), ("host", "no host")]
)
def test_impossible_settings(field, value):
    config = synthetic.get_config("smoke")
    config.serve[field] = value
    with pytest.raises(UserError, match=rf"config\.serve\.{field}="):
        serve.run(config)


@pytest.mark.slow
def test_a_clip_comes_back_outlined_and_plays(page, clip_files):
    page.set_input_files("#clip", clip_files[0])
    served.wait_for_clips(page, 1)
    assert page.locator("#clip_name").inner_text() == "first_clip.avi"
    assert served.percent(page) > 20
    beats = int(page.locator("#num_beats").inner_text())
    assert page.locator("#beats tbody tr").count() == beats
    assert page.locator(".mark.ed").count() == page.locator(".mark.es").count() == beats
    assert page.locator("#outline .line").get_attribute("d").startswith("M")
    assert page.locator("#numbers .notice").is_visible()
    assert "not a medical device" in page.locator("#numbers").inner_text()
    width, height, brightest = served.drawn(page)
    assert (width, height) == (112, 112) and brightest > 100

    page.locator("#play").click()
    page.locator("#where", has_text="frame 5 ").wait_for()
    page.get_by_role("button", name="Pause").click()
    at = page.locator("#frame").input_value()
    page.wait_for_timeout(200)
    assert page.locator("#frame").input_value() == at
    # The curve and the slider are tied to one another.
    box = page.locator("#plot .u-over").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert abs(int(page.locator("#frame").input_value()) - 31.5) <= 2
    with page.expect_download() as download:
        page.get_by_role("link", name="COCO").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert "first_clip.coco/annotations.json" in archive.namelist()


@pytest.mark.slow
def test_bad_files_are_refused_beside_the_good_one(page, clip_files, tmp_path):
    (tmp_path / "notes.txt").write_text("no clip")
    with (tmp_path / "long.avi").open("wb") as file:
        file.truncate(2**30)
    page.set_input_files("#clip", [tmp_path / "notes.txt", tmp_path / "long.avi", clip_files[1]])
    served.wait_for_clips(page, 1)
    words = page.locator("#clips li.failed .words").all_inner_texts()
    assert words[0].startswith("error: notes.txt: files of kind '.txt' are not read")
    assert words[1] == "error: the file is larger than 256 MiB"
    page.get_by_role("button", name="Remove notes.txt").click()
    assert page.locator("#clips li.failed").count() == 1


@pytest.mark.slow
def test_a_clip_that_is_no_longer_kept_is_told(page, clip_files):
    page.set_input_files("#clip", clip_files[1])
    served.wait_for_clips(page, 1)
    page.get_by_role("button", name="Remove second.avi").click()
    page.locator("#workplace").wait_for(state="hidden")
    assert "#" not in page.url
    page.goto(page.url + "#clips=guess&open=guess")
    page.reload()
    page.locator("#refusal", has_text="no longer kept; choose it again").wait_for()


LIGHT, DARK = {"color_scheme": "light"}, {"color_scheme": "dark"}
PHONE = {"viewport": {"width": 375, "height": 760}, "has_touch": True}


@pytest.mark.slow
@pytest.mark.parametrize("options", [LIGHT, DARK, PHONE], ids=["light", "dark", "phone"])
def test_axe_finds_no_serious_fault(address, clip_files, options):
    package = pytest.importorskip("axe_playwright_python")
    axe = (importlib.resources.files(package) / "axe.min.js").read_text()

    def faults():
        page.evaluate(axe)
        found = page.evaluate("() => axe.run()")
        assert len(found["passes"]) > 15
        return [
            f"{fault['id']}: {node['html']} {node['failureSummary']}"
            for fault in found["violations"]
            if fault["impact"] in ("serious", "critical")
            for node in fault["nodes"]
        ]

    with served.shown(address, **options) as page:
        assert faults() == []
        page.set_input_files("#clip", clip_files[1])
        served.wait_for_clips(page, 1)
        assert faults() == []
        page.locator("#edit").click()
        page.locator("#outline .handles g").first.focus()
        page.keyboard.press("ArrowDown")
        page.get_by_role("columnheader", name="Corrected").wait_for()
        page.locator("summary").click()
        assert faults() == []
        # Nothing is wider than the screen.
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
