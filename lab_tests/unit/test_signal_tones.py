"""The table of tones keeps the promises that the oracle is built on."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from screamlab.errors import BadInput
from screamlab.signal import signal, signal_count
from screamlab.signal.ranging import find_shift
from screamlab.signal.tones import PEAK, PERIOD_SAMPLES, RATE_HZ

USUAL_LENGTHS = (48, 240, 256, 288, 480, 576, 864, 960, 1024, 1152, 1920)


def all_tones() -> np.ndarray:
    return np.array([signal(index).frequencies_hz for index in range(signal_count())])


def test_every_tone_belongs_to_one_signal():
    tones = np.sort(all_tones().ravel())
    assert signal_count() >= 64
    assert tones[0] >= 400 and tones[-1] <= 14000
    assert np.diff(tones).min() >= 12


def test_signals_likely_to_be_mixed_are_far_apart():
    tones = all_tones()
    for first in range(signal_count()):
        near = tones[np.arange(first, first + 4) % signal_count()]
        assert min(b - a for a, b in pairwise(sorted(near.ravel()))) >= 100


@pytest.mark.parametrize("length", USUAL_LENGTHS)
def test_no_usual_packet_length_hides_a_repeat(length):
    turns = np.exp(2j * np.pi * all_tones() * length / RATE_HZ)
    assert (np.abs(1 - turns) ** 2).mean(axis=1).min() > 0.15


def test_render_is_a_periodic_function_of_the_sample_index():
    played = signal(17)
    whole = played.render(0, PERIOD_SAMPLES + 100)
    assert np.array_equal(whole[:100], whole[-100:])
    assert np.array_equal(played.render(191_990, 20), whole[191_990:192_010])
    assert np.array_equal(played.render(7 * PERIOD_SAMPLES - 5, 3), whole[-105:-102])
    assert np.abs(whole).max() <= PEAK
    assert whole.dtype == np.float32


@pytest.mark.parametrize("index", [-1, signal_count()])
def test_an_unknown_signal_is_bad_input(index):
    with pytest.raises(BadInput, match=str(index)):
        signal(index)


@pytest.mark.parametrize("index", range(0, signal_count(), 9))
def test_four_phases_tell_any_delay_within_the_period(index):
    frequencies = np.array(signal(index).frequencies_hz)
    noise = np.random.default_rng(index)
    for seconds in noise.uniform(-1.9, 1.9, 20):
        errors = noise.normal(0, 0.01, 4)
        turns = np.exp(1j * (2 * np.pi * frequencies * seconds + errors))
        assert find_shift(turns, frequencies, 0.01).seconds == pytest.approx(seconds, abs=2e-6)
