"""DICOM Segmentation: one binary frame for every frame of the clip and every structure.

highdicom writes all modules but the functional groups: for several frames it wants to know where
each lies in the patient, which no ultrasound clip says. They are written here as PS3.3 has them
(C.8.20.3, C.7.6.16.2.2, C.7.6.16.2.6): a frame names its segment, its place in time and the frame
of the clip that it was made of. The frame of reference is the clip's, where that has one.

highdicom is optional and imported where it is used.
"""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pydicom
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundImageStorage

import echodfkd_jax
from echodfkd_jax.interop.viewers import formats
from echodfkd_jax.interop.viewers.dicom import Author
from echodfkd_jax.interop.viewers.formats import Outlined
from echodfkd_jax.masks import MASK_THRESHOLD

# SNOMED CT, as PS3.16 has them.
TYPES = {
    "lv": codes.SCT.LeftVentricle,
    "lv_myocardium": codes.SCT.LeftVentricleMyocardium,
    "la": codes.SCT.LeftAtrium,
    "rv": codes.SCT.RightVentricle,
    "ra": codes.SCT.RightAtrium,
}
_SERIES = 9001
_TIME_INDEX, _SEGMENT = "TemporalPositionIndex", "ReferencedSegmentNumber"
_OF_SPACE = ("FrameOfReferenceUID", "PositionReferenceIndicator")


def of_clip(clip: Outlined, source: pydicom.Dataset, author: Author) -> Any:
    """The Segmentation of a clip.

    Args:
        clip: of a DICOM file.
        source: the tags of that file.
        author: who makes it.
    """
    import highdicom
    from highdicom import seg

    count, rows, columns = len(clip.frames), int(source.Rows), int(source.Columns)
    # As if the clip were one picture; its frames follow.
    alone = copy.deepcopy(source)
    alone.SOPClassUID = UltrasoundImageStorage
    for tag in ("NumberOfFrames", *_OF_SPACE):
        if tag in alone:
            delattr(alone, tag)
    first = np.ones((1, rows, columns, len(clip.structures)), np.uint8)
    made = seg.Segmentation(
        source_images=[alone],
        pixel_array=first,
        segmentation_type=seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _segment(number, structure, clip)
            for number, structure in enumerate(clip.structures, start=1)
        ],
        series_instance_uid=highdicom.UID(),
        series_number=_SERIES,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        content_label="HEART",
        content_description=clip.notice[:64],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **author._asdict(),
    )
    if source.get("FrameOfReferenceUID"):
        for tag in _OF_SPACE:
            setattr(made, tag, source.get(tag, ""))
    frames = [
        (number, frame) for number in range(1, len(clip.structures) + 1) for frame in range(count)
    ]
    made.PatientOrientation = source.get("PatientOrientation", "")
    for item in made.SourceImageSequence:  # Those of the series are the same objects.
        item.ReferencedSOPClassUID = source.SOPClassUID
    made.NumberOfFrames = len(frames)
    made.SegmentsOverlap = "YES" if len(clip.structures) > 1 else "NO"
    made.DimensionIndexSequence = _dimensions(made)
    # Nothing is shared. How large a pixel is says the clip's file, whose pixels these are.
    made.SharedFunctionalGroupsSequence = [pydicom.Dataset()]
    made.PerFrameFunctionalGroupsSequence = [
        _frame(made, source, number, frame) for number, frame in frames
    ]
    made.PixelData = packed(_masks(clip))
    return made


def packed(masks: Iterator[np.ndarray]) -> bytes:
    """Bits of pictures one after another, eight to a byte, the first in the lowest; even length."""
    parts, rest = [], np.zeros(0, bool)
    for mask in masks:
        bits = np.concatenate([rest, mask.ravel()])
        whole = len(bits) - len(bits) % 8
        parts.append(np.packbits(bits[:whole], bitorder="little").tobytes())
        rest = bits[whole:]
    parts.append(np.packbits(rest, bitorder="little").tobytes())
    content = b"".join(parts)
    return content + b"\0" * (len(content) % 2)


def _masks(clip: Outlined) -> Iterator[np.ndarray]:
    assert clip.masks_in_file is not None
    for structure in clip.structures:
        for mask in clip.masks_in_file(structure):
            yield mask > MASK_THRESHOLD


def _segment(number: int, structure: str, clip: Outlined) -> Any:
    import highdicom
    from highdicom import seg

    student = clip.record["student"]
    return seg.SegmentDescription(
        segment_number=number,
        segment_label=formats.words_of(structure),
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=TYPES.get(structure, codes.SCT.Heart),
        algorithm_type=seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name="echodfkd_jax",
            family=codes.DCM.ArtificialIntelligence,
            version=echodfkd_jax.__version__,
            parameters={key: str(value) for key, value in student.items()},
        ),
        tracking_uid=highdicom.UID(),
        tracking_id=structure,
    )


def _dimensions(made: Any) -> list[pydicom.Dataset]:
    """Frames are numbered by segment, and within one by time."""
    organization = made.DimensionOrganizationSequence[0].DimensionOrganizationUID
    pointers = (
        (_SEGMENT, "SegmentIdentificationSequence", "Segment Number"),
        (_TIME_INDEX, "FrameContentSequence", "Frame of the clip"),
    )
    found = []
    for tag, group, label in pointers:
        item = pydicom.Dataset()
        item.DimensionIndexPointer = pydicom.datadict.tag_for_keyword(tag)
        item.FunctionalGroupPointer = pydicom.datadict.tag_for_keyword(group)
        item.DimensionOrganizationUID = organization
        item.DimensionDescriptionLabel = label
        found.append(item)
    return found


def _frame(made: Any, source: pydicom.Dataset, number: int, frame: int) -> pydicom.Dataset:
    """The functional groups of a segment's frame."""
    import highdicom

    item, content, segment = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    content.DimensionIndexValues = [number, frame + 1]
    content.TemporalPositionIndex = frame + 1
    item.FrameContentSequence = [content]
    segment.ReferencedSegmentNumber = number
    item.SegmentIdentificationSequence = [segment]
    derivation, image = pydicom.Dataset(), pydicom.Dataset()
    image.ReferencedSOPClassUID = source.SOPClassUID
    image.ReferencedSOPInstanceUID = source.SOPInstanceUID
    image.ReferencedFrameNumber = frame + 1
    image.SpatialLocationsPreserved = "YES"
    image.PurposeOfReferenceCodeSequence = [
        highdicom.sr.CodedConcept.from_code(codes.cid7202.SourceImageForImageProcessingOperation)
    ]
    derivation.SourceImageSequence = [image]
    derivation.DerivationCodeSequence = [
        highdicom.sr.CodedConcept.from_code(codes.cid7203.SegmentationImageDerivation)
    ]
    item.DerivationImageSequence = [derivation]
    return item
