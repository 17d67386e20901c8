"""The same as ``chaotic``, as encoders are: goes on while Redis is away."""

from __future__ import annotations

from typing import ClassVar

from chaos.modules.chaotic import Chaotic
from sisyphus.modules.base import Patience


class Patient(Chaotic):
    """Writes beside the final name, so it may go on when nobody answers."""

    patience: ClassVar[Patience] = Patience.PATIENT
