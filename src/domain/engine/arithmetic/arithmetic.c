#include "arithmetic.h"

#include <fenv.h>

_Static_assert(sizeof(fenv_t) <= sizeof(arithmetic_state),
               "an arithmetic_state has room for the environment");
_Static_assert(FLT_EVAL_METHOD == 0, "float expressions are evaluated in float");

uint16_t half_of_float(float value) {
    uint32_t bits = bits_of_float(value);
    uint32_t sign = bits >> 16 & 0x8000U;
    uint32_t size = bits & 0x7fffffffU;
    if (size > 0x7f800000U) {
        return (uint16_t)(sign | 0x7e00U);
    }
    if (size >= 0x477ff000U) { /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7c00U);
    }
    if (size < 0x38800000U) {
        /* Below 2^-14: adding 0.5 leaves the multiple of 2^-24 in the low bits, rounded as it should be. */
        uint32_t shifted = bits_of_float(float_of_bits(size) + 0.5f);
        return (uint16_t)(sign | (shifted - 0x3f000000U));
    }
    uint32_t odd = size >> 13 & 1U;
    return (uint16_t)(sign | ((size - 0x38000000U + 0xfffU + odd) >> 13));
}

/* x = m·2^e with m in [0.707, 1.415), ln m = 2·artanh((m-1)/(m+1)), whose series falls by 1/33 a term or
 * faster. */
double logarithm(double x) {
    uint64_t bits = 0;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffU) | UINT64_C(1023) << 52;
    double m = 0;
    memcpy(&m, &bits, sizeof m);
    if (m > 0x1.6a09e667f3bcdp0) {
        m *= 0.5;
        exponent++;
    }
    double t = (m - 1.0) / (m + 1.0);
    double square = t * t;
    double sum = 1.0 / 23.0;
    for (int k = 21; k >= 1; k -= 2) {
        sum = sum * square + 1.0 / (double)k;
    }
    return (double)exponent * 0x1.62e42fefa39efp-1 + 2.0 * t * sum;
}

static double round_even_double(double x) {
    const double shift = 0x1.8p52;
    return (x + shift) - shift;
}

/* e^x for x in [-700, 700]. */
static double exponential_double(double x) {
    double n = round_even_double(x * 0x1.71547652b82fep0);
    double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;
    double sum = 1.0;
    for (int k = 16; k >= 1; k--) {
        sum = 1.0 + r * sum / (double)k;
    }
    uint64_t bits = (uint64_t)((int64_t)n + 1023) << 52;
    double scale = 0;
    memcpy(&scale, &bits, sizeof scale);
    return sum * scale;
}

void rope_frequencies(double *frequencies, size_t size, float base) {
    double speed = logarithm((double)base);
    for (size_t i = 0; i < size / 2; i++) {
        frequencies[i] = exponential_double(-(double)(2 * i) / (double)size * speed);
    }
}

/* Taylor series about 0, enough for |r| <= pi/4 in double. */
static double sine_series(double r) {
    double square = r * r;
    double sum = 1.0;
    for (int k = 20; k >= 2; k -= 2) {
        sum = 1.0 - square * sum / (double)(k * (k + 1));
    }
    return r * sum;
}

static double cosine_series(double r) {
    double square = r * r;
    double sum = 1.0;
    for (int k = 20; k >= 2; k -= 2) {
        sum = 1.0 - square * sum / (double)(k * (k - 1));
    }
    return sum;
}

void rope_turns(float *cosines, float *sines, const double *frequencies, size_t pairs, uint32_t position) {
    for (size_t i = 0; i < pairs; i++) {
        double angle = (double)position * frequencies[i];
        double n = round_even_double(angle * 0x1.45f306dc9c883p-1);
        /* pi/2 in three parts, the first two of 33 bits, so that n times each is exact (Cody and Waite). */
        double r = ((angle - n * 0x1.921fb544p0) - n * 0x1.0b4611a6p-34) - n * 0x1.3198a2e037073p-69;
        double s = sine_series(r);
        double c = cosine_series(r);
        unsigned quarter = (unsigned)((int64_t)n & 3);
        double turned_cosine = quarter == 0 ? c : quarter == 1 ? -s : quarter == 2 ? -c : s;
        double turned_sine = quarter == 0 ? s : quarter == 1 ? c : quarter == 2 ? -s : -c;
        cosines[i] = (float)turned_cosine;
        sines[i] = (float)turned_sine;
    }
}

bool arithmetic_enter(arithmetic_state *saved) {
    fenv_t environment;
    if (fegetenv(&environment) != 0) {
        return false;
    }
    memcpy(saved->environment, &environment, sizeof environment);
    if (fesetenv(FE_DFL_ENV) != 0) {
        return false;
    }
#if defined(__aarch64__)
    /* The C library leaves what it doesn't know, another form of halves among it. */
    __asm__ volatile("msr fpcr, xzr" : : : "memory");
#endif
    return true;
}

void arithmetic_leave(const arithmetic_state *saved) {
    fenv_t environment;
    memcpy(&environment, saved->environment, sizeof environment);
    (void)fesetenv(&environment);
}
