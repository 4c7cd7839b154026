"""Weights from (seed, network): Philox4x32-10 seeds 16 lanes of xoshiro128++, Box-Muller makes them Gaussian.

The stream of a network depends on the seed and the network's index alone, so results do not depend on how the work
was split. Numbers are drawn as float32 in every precision: float32 and float64 runs see the same networks.

References: Salmon, Moraes, Dror and Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011 (Philox);
Blackman and Vigna, Scrambled linear pseudorandom number generators, ACM TOMS 47 (2021) (xoshiro128++).
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ibtheory import _jit, _math

LANES = 16
WORDS = 4 * LANES  # of state
CHUNK = 512  # pairs per pass: both halves of the raw numbers stay in the first-level cache
SLACK = 2 * LANES  # a fill writes up to this many numbers more than asked for

_MASK = np.uint64(0xFFFFFFFF)
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_32 = np.uint64(32)
_MASKS = 2**31  # third counter word of masks; below it stand lanes of weights and places in an order


@_jit.door
def philox(counter, key):
    """Philox4x32-10: four 32-bit words (in uint64) from four counter words and two key words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (p1 >> _32) ^ c1 ^ k0, p1 & _MASK, (p0 >> _32) ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + _W0) & _MASK, (k1 + _W1) & _MASK
    return c0, c1, c2, c3


@_jit.door
def seed_lanes(state, seed, network):
    """Fill ``state`` (WORDS,) uint32 from ``seed`` (uint64): word w of all lanes at [16 w : 16 w + 16]."""
    _seed(state, seed, network, 0, 0)


@_jit.door
def seed_masks(state, seed, network, layer, step):
    """Fill ``state`` from ``seed``, network, number of the Dropout layer and step, apart from weights and orders."""
    _seed(state, seed, network, _MASKS + layer * LANES, step + 1)


@_jit.inner
def _seed(state, seed, network, third, fourth):
    """Lane l from Philox at the counter (network, third + l, fourth)."""
    network = np.uint64(network)
    for lane in range(LANES):
        counter = (network & _MASK, network >> _32, np.uint64(third + lane), np.uint64(fourth))
        words = philox(counter, (seed & _MASK, seed >> _32))
        for word in range(4):
            state[word * LANES + lane] = words[word]


@intrinsic
def _advance(typingctx, state, out, steps):
    """Take ``steps`` steps of all lanes from the state at one address, 16 numbers each, to another address.

    Written in vector instructions: the loop vectorizer leaves this recurrence at a third of the speed.
    """

    def codegen(context, builder, signature, arguments):
        vector = ir.VectorType(ir.IntType(32), LANES)

        def literal(number):
            return ir.Constant(vector, [number] * LANES)

        def rotate(x, bits):
            return builder.or_(builder.shl(x, literal(bits)), builder.lshr(x, literal(32 - bits)))

        def at(base, index):
            return builder.gep(base, [index])

        source = builder.inttoptr(arguments[0], vector.as_pointer())
        target = builder.inttoptr(arguments[1], vector.as_pointer())
        places = [at(source, ir.Constant(ir.IntType(64), word)) for word in range(4)]
        words = [cgutils.alloca_once_value(builder, builder.load(place, align=4)) for place in places]
        with cgutils.for_range(builder, arguments[2]) as loop:
            s0, s1, s2, s3 = (builder.load(word) for word in words)
            number = builder.add(rotate(builder.add(s0, s3), 7), s0)
            builder.store(number, at(target, loop.index), align=4)
            t = builder.shl(s1, literal(9))
            s2 = builder.xor(s2, s0)
            s3 = builder.xor(s3, s1)
            s1 = builder.xor(s1, s2)
            s0 = builder.xor(s0, s3)
            s2 = builder.xor(s2, t)
            s3 = rotate(s3, 11)
            for word, value in zip(words, (s0, s1, s2, s3), strict=True):
                builder.store(value, word)
        for word, place in zip(words, places, strict=True):
            builder.store(builder.load(word), place, align=4)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), codegen


@_jit.door
def advance(state, raw, steps):
    """Write ``steps`` times 16 random uint32 to ``raw`` and advance ``state``."""
    _advance(state.ctypes.data, raw.ctypes.data, steps)


@_jit.inner
def _box_muller(first, second, left, right, std):
    for i in range(first.size):
        x, y = _math.gaussian_pair(first[i], second[i])
        left[i] = x * std
        right[i] = y * std


@_jit.inner
def _uniform(first, out, bound):
    for i in range(first.size):
        out[i] = _math.symmetric_uniform(first[i]) * bound


@_jit.door
def fill(out, count, std, uniform, state, raw):
    """Fill ``out[:count]`` with numbers of mean 0 and standard deviation ``std``; ``out`` needs SLACK more places.

    Gaussian numbers end at 5.77 standard deviations (24-bit uniforms); uniform ones at sqrt(3). ``raw`` is scratch,
    (2 CHUNK,) uint32.
    """
    done = 0
    while done < count:
        pairs = min(CHUNK, (count - done + SLACK - 1) // SLACK * LANES)
        advance(state, raw, 2 * pairs // LANES)
        if uniform:
            bound = out.dtype.type(std * np.sqrt(3.0))
            _uniform(raw[: 2 * pairs], out[done : done + 2 * pairs], bound)
        else:
            middle, end = done + pairs, done + 2 * pairs
            scale = out.dtype.type(std)
            _box_muller(raw[:pairs], raw[pairs : 2 * pairs], out[done:middle], out[middle:end], scale)
        done += 2 * pairs


@_jit.door
def shuffle(order, seed, network, epoch):
    """Fill ``order`` with a random order of 0, 1, ... that follows from seed, network and epoch (Fisher and Yates).

    The fourth counter word of Philox, 0 for weights, is the epoch + 1. An index is off uniform by order.size / 2^32.
    """
    network = np.uint64(network)
    for j in range(order.size):
        order[j] = j
    for j in range(order.size - 1, 0, -1):
        counter = (network & _MASK, network >> _32, np.uint64(j), np.uint64(epoch + 1))
        word = philox(counter, (seed & _MASK, seed >> _32))[0]
        other = np.int64((word * np.uint64(j + 1)) >> _32)
        order[j], order[other] = order[other], order[j]
