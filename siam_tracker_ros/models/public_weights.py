"""Weights that others published: where they are, what they are for, and under which terms."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublicFile:
    """A published weight file. `sha256` is None where its authors publish none."""

    name: str
    entry: str
    url: str
    origin: str
    licence: str
    sha256: str | None = None


_DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id={}"
# Of PySOT's MODEL_ZOO.md; the name is the one of the zoo entry.
_PYSOT = {
    "siamrpn_alex_dwxcorr": "1t62x56Jl7baUzPTo0QrC4jJnwvPZm-2m",
    "siamrpn_alex_dwxcorr_otb": "1gCpmR85Qno3C-naR3SLqRNpVfU7VJ2W0",
    "siamrpn_r50_l234_dwxcorr": "1Q4-1563iPwV6wSf_lBHDj5CPFiGSlEPG",
    "siamrpn_r50_l234_dwxcorr_otb": "1Cx_oHu6o0gNeH7F9zZrgevfAGdyWC4D5",
    "siamrpn_mobilev2_l234_dwxcorr": "1JB94pZTvB1ZByU-qSJn4ZAIfjLWE5EBJ",
    "siammask_r50_l3": "1YbPUQVTYw_slAvk_DchvRY-7B6rnSXP9",
    "siamrpn_r50_l234_dwxcorr_lt": "1lOOTedwGLbGZ7MAbqJimIcET3ANJd29A",
}
# Of SiamMask's README; each with the configuration it is evaluated with there.
_SIAMMASK = {
    "SiamMask_DAVIS": "siammask_r50_sharp",
    "SiamMask_VOT": "siammask_r50_sharp_vot",
    "SiamMask_VOT_LD": "siammask_r50_sharp_vot18",
}

PUBLIC: dict[str, PublicFile] = {
    name: PublicFile(name, name, _DRIVE.format(drive_id), "PySOT's model zoo", "CC BY-SA 3.0")
    for name, drive_id in _PYSOT.items()
} | {
    name: PublicFile(
        name, entry, f"http://www.robots.ox.ac.uk/~qwang/{name}.pth", "SiamMask's authors", "MIT"
    )
    for name, entry in _SIAMMASK.items()
}
"""By name, in the order of `siam-tracker weights list --public`."""
