"""Least-squares phasors of known tones, block by block, as two small matrix products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_CELLS_PER_S = 400
_BLOCKS_PER_S = (200, 100, 50)
_LEAST_EIGENVALUE = 0.35


class BlockKernel:
    """Fits tones to blocks of samples.

    The block is the shortest of 5, 10 and 20 ms in which the tones can be told apart well (by the
    least eigenvalue of their normalised Gram matrix), or the `length` asked for. What the tones
    leave unexplained is measured in cells of 2.5 ms.
    """

    def __init__(
        self, frequencies_hz: NDArray[np.float64], rate_hz: int, length: int | None = None
    ) -> None:
        self.cell = 2 * round(rate_hz / _CELLS_PER_S / 2)
        self.length = length or self._shortest(frequencies_hz, rate_hz)
        basis = _basis(frequencies_hz, rate_hz, self.length)
        self._synthesis = np.ascontiguousarray(basis.T, dtype=np.float32)
        self._analysis = np.linalg.pinv(basis).T.astype(np.float32, order="C")
        self._tones = len(frequencies_hz)

    def analyse(
        self, samples: NDArray[np.float32]
    ) -> tuple[NDArray[np.complex128], NDArray[np.float32]]:
        """Phasors (blocks, tones) at the blocks' centres, and the loudest cell's residual power.

        `samples` holds whole blocks. A phasor z stands for Re(z exp(j 2 pi f t)).
        """
        blocks = samples.reshape(-1, self.length)
        weights = blocks @ self._analysis
        residual = blocks - weights @ self._synthesis
        cells = residual.reshape(-1, self.cell)
        power = np.einsum("ij,ij->i", cells, cells).reshape(len(blocks), -1).max(axis=1)
        phasors = np.empty((len(blocks), self._tones), dtype=np.complex128)
        phasors.real = weights[:, : self._tones]
        phasors.imag = -weights[:, self._tones :]
        return phasors, power / np.float32(self.cell)

    def _shortest(self, frequencies_hz: NDArray[np.float64], rate_hz: int) -> int:
        length = self.cell
        for blocks_per_s in _BLOCKS_PER_S:
            length = self.cell * round(_CELLS_PER_S / blocks_per_s)
            basis = _basis(frequencies_hz, rate_hz, length)
            gram = basis.T @ basis * (2 / length)
            if not gram.size or np.linalg.eigvalsh(gram)[0] > _LEAST_EIGENVALUE:
                break
        return length


def _basis(frequencies_hz: NDArray[np.float64], rate_hz: int, length: int) -> NDArray[np.float64]:
    centred = np.arange(length) - (length - 1) / 2
    angles = 2 * np.pi / rate_hz * np.outer(centred, frequencies_hz)
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
