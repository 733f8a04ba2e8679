"""DICOM Structured Report of a clip's measures: template TID 1500, Imaging Measurement Report.

Every beat has three groups: the ventricle at end-diastole and at end-systole, each a planar region
(TID 1410) that refers to its frames of the Segmentation and of the clip, and the ejection fraction
between them (TID 1501). A last group has the means over the beats. Frames are counted from 1 as
DICOM does. Codes of single-plane measures in the apical four-chamber view: PS3.16, CID 12300.

highdicom is optional and imported where it is used.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pydicom
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

import echodfkd_jax
from echodfkd_jax.interop.viewers.dicom import Author
from echodfkd_jax.interop.viewers.formats import Outlined
from echodfkd_jax.masks import LV, MASK_THRESHOLD

_SERIES = 9002
_EF = codes.LN.LeftVentricularEjectionFractionSinglePlane4CMOD
_AREA_CHANGE = Code("399287000", "SCT", "Left ventricular area fractional change")
_VOLUMES = {
    "ed": codes.LN.LeftVentricularEndDiastolicVolumeSinglePlane4CMOD,
    "es": codes.LN.LeftVentricularEndSystolicVolumeSinglePlane4CMOD,
}
_PHASES = {"ed": codes.SCT.EndDiastole, "es": codes.SCT.EndSystole}
_PHASE = Code("246092007", "SCT", "Cardiac cycle phase")
_PERCENT, _MM = codes.UCUM.Percent, codes.UCUM.Millimeter
_ML = Code("ml", "UCUM", "milliliter")
_CM2 = Code("cm2", "UCUM", "square centimeter")
_PIXELS = Code("{pixels}", "UCUM", "pixels")
_PER_MINUTE = Code("{H.B.}/min", "UCUM", "beats per minute")


def of_clip(
    clip: Outlined, source: pydicom.Dataset, segmentation: pydicom.Dataset, author: Author
) -> Any:
    """The report on a clip in which a beat was found.

    Args:
        clip: of a DICOM file.
        source: the tags of that file.
        segmentation: of the same clip, the ventricle its first segment.
        author: who makes it.
    """
    import highdicom
    from highdicom import sr

    writer = _Groups(clip, source, segmentation)
    groups = []
    for number, beat in enumerate(clip.record["beats"], start=1):
        groups += writer.of_beat(number, beat)
    groups.append(writer.of_all())
    content = sr.MeasurementReport(
        observation_context=_observer(clip),
        procedure_reported=codes.SCT.TransthoracicEchocardiography,
        imaging_measurements=groups,
        title=codes.cid7021.ImagingMeasurementReport,
    )
    for text in (clip.notice, *clip.record["remarks"]):
        content[0].ContentSequence.append(_comment(text))
    return sr.ComprehensiveSR(
        evidence=[source, segmentation],
        content=content[0],
        series_instance_uid=highdicom.UID(),
        series_number=_SERIES,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        is_complete=True,
        is_final=False,
        is_verified=False,
        **author._asdict(),
    )


class _Groups:
    """The groups of measurements of a clip."""

    def __init__(
        self, clip: Outlined, source: pydicom.Dataset, segmentation: pydicom.Dataset
    ) -> None:
        from highdicom import sr

        assert clip.masks_in_file is not None
        self._record, self._source, self._segmentation = clip.record, source, segmentation
        self._areas_px = np.count_nonzero(clip.masks_in_file(LV) > MASK_THRESHOLD, axis=(1, 2))
        self._pixel_cm2 = math.prod(clip.file_spacing_mm) / 100
        self._algorithm = sr.AlgorithmIdentification(
            name="echodfkd_jax",
            version=echodfkd_jax.__version__,
            parameters=[f"{key}: {value}" for key, value in clip.record["student"].items()],
        )

    def of_beat(self, number: int, beat: dict[str, Any]) -> list[Any]:
        """Of one beat, as the JSON has it."""
        from highdicom import sr

        both = [beat["ed_frame"], beat["es_frame"]]
        fractions = [
            self._number(_EF, beat["ef_disks_percent"], _PERCENT, frames=both),
            self._number(_AREA_CHANGE, beat["ef_area_percent"], _PERCENT, frames=both),
        ]
        group = sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=_tracked(f"Beat {number}"),
            finding_type=codes.SCT.LeftVentricle,
            finding_category=codes.SCT.AnatomicalStructure,
            measurements=_known(fractions),
            algorithm_id=self._algorithm,
        )
        return [*(self._phase(number, beat, phase) for phase in ("ed", "es")), group]

    def of_all(self) -> Any:
        """The means over the beats."""
        from highdicom import sr

        record, mean = self._record, codes.SCT.Mean
        numbers = [
            self._number(_EF, record["ef_disks_percent"], _PERCENT, derivation=mean),
            self._number(_AREA_CHANGE, record["ef_area_percent"], _PERCENT, derivation=mean),
            self._number(_VOLUMES["ed"], record["edv_ml"], _ML, derivation=mean),
            self._number(_VOLUMES["es"], record["esv_ml"], _ML, derivation=mean),
            self._number(codes.LN.HeartRate, record["heart_rate_per_min"], _PER_MINUTE),
        ]
        return sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=_tracked(f"Mean of {len(record['beats'])} beats"),
            finding_type=codes.SCT.LeftVentricle,
            finding_category=codes.SCT.AnatomicalStructure,
            measurements=_known(numbers),
            algorithm_id=self._algorithm,
        )

    def _phase(self, number: int, beat: dict[str, Any], phase: str) -> Any:
        """The ventricle in one frame, and its outline there."""
        from highdicom import sr

        frame, words = beat[f"{phase}_frame"], _PHASES[phase].meaning.lower()
        area = float(self._areas_px[frame])
        known = math.isfinite(self._pixel_cm2)
        numbers = [
            self._number(
                codes.SCT.Area,
                area * self._pixel_cm2 if known else area,
                _CM2 if known else _PIXELS,
            ),
            self._number(_VOLUMES[phase], beat[f"{phase}v_ml"], _ML),
        ]
        return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=_tracked(f"Beat {number}, {words}"),
            referenced_segment=self._outline(frame),
            finding_type=codes.SCT.LeftVentricle,
            finding_category=codes.SCT.AnatomicalStructure,
            measurements=_known(numbers),
            qualitative_evaluations=[sr.QualitativeEvaluation(_PHASE, _PHASES[phase])],
            algorithm_id=self._algorithm,
        )

    def _outline(self, frame: int) -> Any:
        """A frame of the ventricle in the Segmentation, and the clip's."""
        from highdicom import sr

        source, made = self._source, self._segmentation
        found = sr.ReferencedSegmentationFrame(
            sop_class_uid=made.SOPClassUID,
            sop_instance_uid=made.SOPInstanceUID,
            # The frames of the first segment come first, in order of time.
            frame_number=frame + 1,
            segment_number=1,
            source_image=sr.SourceImageForSegmentation(
                source.SOPClassUID, source.SOPInstanceUID, [frame + 1]
            ),
        )
        # A frame is of one segment: the number of either is allowed, not both.
        del found[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
        return found

    def _number(
        self,
        name: Code,
        value: float | None,
        unit: Code,
        *,
        frames: Sequence[int] = (),
        derivation: Code | None = None,
    ) -> Any:
        """A measurement; None where its value is not known."""
        from highdicom import sr

        if value is None:
            return None
        source = self._source
        images = [
            sr.SourceImageForMeasurement(
                source.SOPClassUID, source.SOPInstanceUID, [frame + 1 for frame in frames]
            )
        ]
        return sr.Measurement(
            name=name,
            value=round(float(value), 4),
            unit=unit,
            derivation=derivation,
            referenced_images=images if frames else None,
        )


def _known(numbers: Sequence[Any]) -> list[Any]:
    return [number for number in numbers if number is not None]


def _tracked(words: str) -> Any:
    import highdicom
    from highdicom import sr

    return sr.TrackingIdentifier(uid=highdicom.UID(), identifier=words)


def _observer(clip: Outlined) -> Any:
    from highdicom import sr

    student = clip.record["student"]
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
                # The same network is the same observer.
                uid=pydicom.uid.generate_uid(entropy_srcs=["echodfkd_jax", str(dict(student))]),
                name="echodfkd_jax",
                manufacturer_name="echodfkd_jax",
                model_name=str(student.get("fingerprint", "unknown")),
            ),
        )
    )


def _comment(text: str) -> Any:
    from highdicom import sr

    return sr.TextContentItem(
        name=codes.DCM.Comment,
        value=text,
        relationship_type=sr.RelationshipTypeValues.CONTAINS,
    )
