"""The generator: published known answers, then the laws it must have, with bars from their standard errors."""

import numpy as np
import pytest
from scipy import stats

from ibtheory.simulation import random

COUNT = 1 << 19
BAR = 4.5  # standard errors; about 60 comparisons below: 4e-4 for all of them together

# Random123 1.14, kat_vectors, philox4x32 with 10 rounds: counter, key, answer.
KNOWN = [
    ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def draw(seed=1, network=0, count=COUNT, *, std=1.0, uniform=False, dtype=np.float64):
    state, raw = np.zeros(random.WORDS, np.uint32), np.empty(2 * random.CHUNK, np.uint32)
    random.seed_lanes(state, np.uint64(seed), network)
    out = np.empty(count + random.SLACK, dtype)
    random.fill(out, count, std, uniform, state, raw)
    return out[:count]


def philox(counter, key):
    return random.philox(tuple(map(np.uint64, counter)), tuple(map(np.uint64, key)))


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_philox_known_answers(counter, key, answer):
    assert philox(counter, key) == answer


def xoshiro(words):
    """xoshiro128++ 1.0 in Python integers; the first four words are the published state."""
    s, mask = [int(w) for w in words], 0xFFFFFFFF

    def rotate(x, k):
        return ((x << k) | (x >> (32 - k))) & mask

    while True:
        yield (rotate((s[0] + s[3]) & mask, 7) + s[0]) & mask
        t = (s[1] << 9) & mask
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotate(s[3], 11)


def test_xoshiro_known_answers():
    # The test vector of the rand_xoshiro crate, made with the reference C code: state 1, 2, 3, 4.
    generator = xoshiro([1, 2, 3, 4])
    assert [next(generator) for _ in range(4)] == [641, 1573767, 3222811527, 3517856514]


def test_every_lane_is_xoshiro_seeded_by_its_own_philox_block():
    seed, network, steps = 2**63 + 12345, 2**33 + 7, 5
    state, raw = np.zeros(random.WORDS, np.uint32), np.empty(steps * random.LANES, np.uint32)
    random.seed_lanes(state, np.uint64(seed), network)
    lanes = state.reshape(4, random.LANES).copy()
    random.advance(state, raw, steps)
    for lane in range(random.LANES):
        block = philox((network % 2**32, network >> 32, lane, 0), (seed % 2**32, seed >> 32))
        np.testing.assert_array_equal(lanes[:, lane], block)
        generator = xoshiro(block)
        np.testing.assert_array_equal(raw.reshape(steps, -1)[:, lane], [next(generator) for _ in range(steps)])


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_gaussian_moments_and_shape(seed):
    z = draw(seed)
    exact = {1: (0, 1), 2: (1, 2), 3: (0, 15), 4: (3, 96), 6: (15, 10170)}  # moment, variance of the power
    for power, (mean, variance) in exact.items():
        score = (np.mean(z**power) - mean) / np.sqrt(variance / COUNT)
        assert abs(score) < BAR, (power, score)
    edges = stats.norm.ppf(np.arange(1, 200) / 200)
    counts = np.bincount(np.searchsorted(edges, z), minlength=200)
    chi2 = np.sum((counts - COUNT / 200) ** 2) / (COUNT / 200)
    assert abs(chi2 - 199) < BAR * np.sqrt(2 * 199)


@pytest.mark.parametrize("lag", [1, 2, 15, 16, 17, 32, 64, 512, 1024])
def test_gaussian_values_and_sizes_are_uncorrelated_at_every_lag(lag):
    z = draw(3)
    for values in (z, z**2 - 1, np.abs(z) - np.sqrt(2 / np.pi)):
        score = np.mean(values[lag:] * values[:-lag]) / np.mean(values**2) * np.sqrt(len(values) - lag)
        assert abs(score) < BAR


@pytest.mark.parametrize("other", [(5, 1), (6, 0), (5 + 2**32, 0), (5, 2**32)], ids=str)
def test_networks_and_seeds_are_independent_streams(other):
    a, b = draw(5, 0), draw(*other)
    for f in (lambda z: z, lambda z: z**2 - 1):
        assert abs(np.corrcoef(f(a), f(b))[0, 1]) * np.sqrt(COUNT) < BAR
    assert len(np.intersect1d(a[:1000], b[:1000])) < 3


def test_uniform_weights():
    u = draw(uniform=True, std=2.0)
    bound = 2 * np.sqrt(3)
    assert np.abs(u).max() < bound
    assert np.abs(u).max() > bound * (1 - 1e-4)
    assert abs(np.mean(u) / 2 * np.sqrt(COUNT)) < BAR
    assert abs((np.mean(u**2) / 4 - 1) * np.sqrt(COUNT / 0.8)) < BAR
    counts = np.histogram(u, 100, (-bound, bound))[0]
    assert abs(np.sum((counts - COUNT / 100) ** 2) / (COUNT / 100) - 99) < BAR * np.sqrt(2 * 99)


def test_both_precisions_draw_the_same_numbers():
    np.testing.assert_allclose(draw(dtype=np.float32, std=0.3, count=5000), draw(std=0.3, count=5000), rtol=1e-7)


@pytest.mark.parametrize("count", [1, 31, 32, 33, 1024, 1025])
def test_a_fill_stays_within_its_slack(count):
    state, raw = np.ones(random.WORDS, np.uint32), np.empty(2 * random.CHUNK, np.uint32)
    out = np.full(count + random.SLACK + 1, np.nan, np.float32)
    random.fill(out, count, 1.0, False, state, raw)
    assert np.isfinite(out[:count]).all()
    assert np.isnan(out[-1])
