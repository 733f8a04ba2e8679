"""Work on the page in a real browser, from dropped clips to a trained step: by mouse, by touch."""

import json
import re
import zipfile

import pytest

from echodfkd_jax.clips import mask_files, tables
from tests.jobs import learning, served


def es_frame(page):
    return int(page.locator("#beats tbody tr").first.locator("td").nth(1).inner_text())


def drag(page, locator, by_x, by_y, steps=6):
    x, y = served.middle(locator)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by_x, y + by_y, steps=steps)
    return x + by_x, y + by_y


def line(page):
    return page.locator("#outline .line").get_attribute("d")


def corrected_line(page):
    page.locator("#outline .line.corrected").wait_for(state="attached")
    return line(page)


@pytest.mark.slow
def test_from_three_dropped_clips_to_a_trained_step(page, clip_files, tmp_path):
    api = pytest.importorskip("playwright.sync_api")
    served.drop(page, clip_files)
    served.wait_for_clips(page, 3)
    assert page.locator("#corrections_of_all").get_attribute("aria-disabled") == "true"

    # A mark is dragged: the numbers follow before it is let go.
    before, predicted_ef = es_frame(page), served.percent(page)
    drag(page, page.locator(".mark.es").first, -45, 0)
    api.expect(page.locator("#beats tbody tr td").nth(1)).not_to_have_text(str(before))
    page.mouse.up()
    api.expect(page.locator("#clips li").first).to_contain_text("beats corrected")
    dragged = es_frame(page)
    assert dragged < before
    assert served.percent(page) < predicted_ef
    assert f"frame {dragged} " in page.locator("#where").inner_text()
    page.locator("#undo").click()
    api.expect(page.locator("#beats tbody tr td").nth(1)).to_have_text(str(before))
    page.locator("#redo").click()
    api.expect(page.locator("#beats tbody tr td").nth(1)).to_have_text(str(dragged))

    # An outline is corrected in each clip: a point is moved, another one added and removed.
    page.locator("#edit").click()
    points = page.locator("#outline .handles g")
    assert points.count() == 16
    predicted = line(page)
    drag(page, points.nth(4), 30, 10)
    page.mouse.up()
    moved = corrected_line(page)
    assert moved != predicted
    api.expect(page.locator("#clips li").first).to_contain_text("1 outline corrected")
    page.locator("#add_point").click()
    api.expect(points).to_have_count(17)
    page.locator("#remove_point").click()
    api.expect(points).to_have_count(16)
    page.locator("#undo").click()
    api.expect(points).to_have_count(17)
    page.locator("#undo").click()
    api.expect(page.locator("#outline .line")).to_have_attribute("d", moved)
    for number in (1, 2):
        page.locator("#clips button.name").nth(number).click()
        api.expect(page.locator("#clip_name")).to_have_text(served.NAMES[number])
        page.locator("#edit").click()
        drag(page, points.nth(4), 12, 4)
        page.mouse.up()
        api.expect(page.locator("#clips li").nth(number)).to_contain_text("1 outline corrected")

    # All of it is there after the page was loaded again.
    page.locator("#clips button.name").first.click()
    api.expect(page.locator("#clip_name")).to_have_text("first_clip.avi")
    told = page.locator("#values").inner_text()
    page.reload()
    served.wait_for_clips(page, 3)
    assert page.locator("#values").inner_text() == told
    page.locator("#frame").fill(str(dragged))
    assert corrected_line(page) == moved
    assert page.locator("#redo").is_enabled()

    with page.expect_download() as download:
        page.locator("#results").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        names = set(archive.namelist())
        record = json.loads(archive.read("first_clip.corrected.json"))
    assert {"first_clip.seg.npz", "first_clip.corrected.seg.npz", "first_clip.mp4"} <= names
    assert (record["corrected_frames"], record["es_frames"][0]) == ([dragged], dragged)

    with page.expect_download() as download:
        page.locator("#corrections_of_all").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        archive.extractall(tmp_path / "corrections")
    traced = tables.read_volume_tracings(tmp_path / "corrections" / "VolumeTracings.csv")
    assert list(traced) == ["first_clip", "second", "third"]
    assert list(traced["first_clip"]) == [dragged]
    folder = tmp_path / "corrections" / "TeacherMasks"
    assert len(mask_files.read_masks(folder / "first_clip.seg.npz")) == 64
    made = learning.config(tmp_path / "corrections", tmp_path)
    clips = learning.prepared_clips(made)
    assert {len(clip.reference_frames) for split in clips.values() for clip in split} == {1}
    assert learning.learn_one_step(made)["train/loss"] > 0


@pytest.mark.slow
def test_beats_are_added_removed_and_found_again(page, clip_files):
    api = pytest.importorskip("playwright.sync_api")
    page.set_input_files("#clip", clip_files[1])
    served.wait_for_clips(page, 1)
    rows = page.locator("#beats tbody tr")
    found = rows.count()
    predicted_ef = served.percent(page)
    for left in reversed(range(found)):
        page.locator("#remove_beat").click()
        api.expect(rows).to_have_count(left)
    assert page.locator("#ef_disks").inner_text() == "unknown"
    assert "no ejection fraction" in page.locator("#remarks").inner_text()
    page.locator("#frame").fill("4")
    page.locator("#add_beat").click()
    api.expect(rows).to_have_count(1)
    assert rows.first.locator("td").first.inner_text() == "4"
    page.locator("#frame").fill("7")
    page.locator("#ed_here").click()
    api.expect(rows.first.locator("td").first).to_have_text("7")
    # End-systole before end-diastole is refused, and nothing changes.
    page.locator("#frame").fill("2")
    page.locator("#es_here").click()
    api.expect(page.locator("#refusal")).to_contain_text("beat 1: end-diastole 7, end-systole 2")
    assert rows.first.locator("td").first.inner_text() == "7"
    page.locator("#find_beats").click()
    api.expect(rows).to_have_count(found)
    assert served.percent(page) == predicted_ef
    assert not page.locator("#find_beats").is_enabled()


def touch(page, session, locator, by_x, by_y):
    x, y = served.middle(locator)
    send = session.send
    point = {"x": x, "y": y}
    send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    for part in (0.3, 0.6, 1.0):
        point = {"x": x + part * by_x, "y": y + part * by_y}
        send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


@pytest.mark.slow
def test_a_finger_on_a_phone_moves_marks_and_points(address, clip_files):
    api = pytest.importorskip("playwright.sync_api")
    options = {"viewport": {"width": 375, "height": 760}, "has_touch": True, "is_mobile": True}
    with served.shown(address, **options) as page:
        session = page.context.new_cdp_session(page)
        page.set_input_files("#clip", clip_files[1])
        served.wait_for_clips(page, 1)
        before = es_frame(page)
        touch(page, session, page.locator(".mark.es").first, -20, 0)
        api.expect(page.locator("#clips li")).to_contain_text("beats corrected")
        assert es_frame(page) < before
        page.locator("#edit").tap()
        page.locator("#screen").scroll_into_view_if_needed()
        touch(page, session, page.locator("#outline .handles g").nth(4), 15, 0)
        api.expect(page.locator("#clips li")).to_contain_text("1 outline corrected")
        assert re.match(r"M[\d.]+ [\d.]+C", line(page))
