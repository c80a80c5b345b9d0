"""One line of the doctor's report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "note", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """What was found about a topic.

    `note`: good to know. `warning`: something will go wrong or be missing, the rest works. `error`: it
    blocks. `remedy` says what to do, and is empty where nothing is to be done.
    """

    topic: str
    status: Status
    text: str
    remedy: str = ""
