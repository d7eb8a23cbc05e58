// What the kernels in fused.cpp compute with: storage types, functions of one number, dropout masks.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

// ---- storage types -----------------------------------------------------------------------------------------------

struct bf16 {
    uint16_t bits;
};

inline float bits_to_float(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline uint32_t float_to_bits(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline float load(const float* at) { return *at; }
inline float load(const bf16* at) { return bits_to_float(uint32_t(at->bits) << 16); }

inline void store(float* at, float value) { *at = value; }
inline void store(bf16* at, float value) {
    const uint32_t bits = float_to_bits(value);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;  // to nearest, ties to even
    at->bits = uint16_t(value == value ? rounded : 0x7fc0u);
}

// ---- functions of one number -------------------------------------------------------------------------------------

// e^x for x <= 0, relative error below 2e-7 (Cephes' polynomial); below -87 it stays at e^-87 = 1.6e-38.
inline float exp_nonpositive(float x) {
    x = x < -87.0f ? -87.0f : x;
    const float shifted = x * 1.44269504f + 12582912.0f;  // adding 1.5 * 2^23 rounds to an integer in the low bits
    const float n = shifted - 12582912.0f;
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const float power = bits_to_float((float_to_bits(shifted) << 23) + (127u << 23));  // 2^n
    return p * power;
}

struct Normal {
    float density;
    float distribution;
};

// Density and distribution function of the standard normal; the latter with absolute error below 3e-7 and, for x > -5,
// relative error below 1e-6. With u = |x|, distribution(-u) = e^(-u^2/2) Q(1 / (1 + 0.3 u)): Q is a minimax
// polynomial of erfcx(u / sqrt 2) / 2 on 0 <= u <= 13.3 (relative error 6e-8).
inline Normal standard_normal(float x) {
    const float u = std::fabs(x);
    const float bell = exp_nonpositive(-0.5f * u * u);
    const float t = 1.0f / (1.0f + 0.3f * u);
    float q = 0.03831163666f;
    q = q * t - 0.1688417118f;
    q = q * t + 0.2279889767f;
    q = q * t - 0.07573767129f;
    q = q * t + 0.1420035198f;
    q = q * t + 0.09491061942f;
    q = q * t + 0.1218620951f;
    q = q * t + 0.1194958772f;
    q = q * t + 6.686709934e-06f;
    const float tail = bell * q;
    return {0.39894228f * bell, x < 0.0f ? tail : 1.0f - tail};
}

// ---- dropout -----------------------------------------------------------------------------------------------------

struct Dropout {
    uint64_t seed;
    uint32_t keep_below;
    float keep_scale;
    bool on() const { return keep_below != 0; }
};

// One row's mask. Two keys, so that no row's sequence is another's shifted.
struct RowMask {
    uint32_t first_key, second_key, keep_below;
    float keep_scale;

    RowMask(const Dropout& dropout, uint64_t row) : keep_below(dropout.keep_below), keep_scale(dropout.keep_scale) {
        uint64_t z = dropout.seed + (row + 1) * 0x9e3779b97f4a7c15ull;  // splitmix64
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        z ^= z >> 31;
        first_key = uint32_t(z);
        second_key = uint32_t(z >> 32);
    }

    // 0 or keep_scale. The mixer's constants are those of Wellons' lowbias32.
    float factor(uint32_t column) const {
        uint32_t x = column + first_key;
        x = (x ^ (x >> 16)) * 0x21f0aaadu;
        x = ((x ^ (x >> 15)) + second_key) * 0xd35a2d97u;
        x ^= x >> 15;
        return x < keep_below ? keep_scale : 0.0f;
    }
};

}  // namespace
