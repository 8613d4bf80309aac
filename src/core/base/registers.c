#include "base/memory.h"
#include "memory_internal.h"

/* Whatever is copied or encrypted passes through vector registers, and stays in them for as long as nothing
 * else does: in a core dump they stand beside the memory. */

#if defined(__x86_64__)

__attribute__((target("avx"))) static void clear_first_16(void) {
    __asm__ volatile("vzeroall" ::
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                           "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

#define CLEAR(n) "vpxord %%zmm" #n ", %%zmm" #n ", %%zmm" #n "\n\t"
__attribute__((target("avx512f"))) static void clear_last_16(void) {
    __asm__ volatile(CLEAR(16) CLEAR(17) CLEAR(18) CLEAR(19) CLEAR(20) CLEAR(21) CLEAR(22) CLEAR(23) CLEAR(24)
                         CLEAR(25) CLEAR(26) CLEAR(27) CLEAR(28) CLEAR(29) CLEAR(30) CLEAR(31)::
                             : "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23",
                               "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");
}

#define CLEAR_128(n) "pxor %%xmm" #n ", %%xmm" #n "\n\t"
static void clear_128_bits(void) {
    __asm__ volatile(CLEAR_128(0) CLEAR_128(1) CLEAR_128(2) CLEAR_128(3) CLEAR_128(4) CLEAR_128(5)
                         CLEAR_128(6) CLEAR_128(7) CLEAR_128(8) CLEAR_128(9) CLEAR_128(10) CLEAR_128(11)
                             CLEAR_128(12) CLEAR_128(13) CLEAR_128(14) CLEAR_128(15)::
                                 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                                   "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

static void clear(void) {
    if (__builtin_cpu_supports("avx512f")) {
        clear_last_16();
    }
    if (__builtin_cpu_supports("avx")) {
        clear_first_16();
    } else {
        clear_128_bits();
    }
}

#elif defined(__aarch64__)

/* The lower halves of v8 to v15 are the callers' own (AAPCS64, 6.1.2) and come back: whoever put anything
 * else there has had to do the same. */
#define CLEAR(n) "movi v" #n ".2d, #0\n\t"
static void clear(void) {
    __asm__ volatile(CLEAR(0) CLEAR(1) CLEAR(2) CLEAR(3) CLEAR(4) CLEAR(5) CLEAR(6) CLEAR(7) CLEAR(8) CLEAR(9)
                         CLEAR(10) CLEAR(11) CLEAR(12) CLEAR(13) CLEAR(14) CLEAR(15) CLEAR(16) CLEAR(17)
                             CLEAR(18) CLEAR(19) CLEAR(20) CLEAR(21) CLEAR(22) CLEAR(23) CLEAR(24) CLEAR(25)
                                 CLEAR(26) CLEAR(27) CLEAR(28) CLEAR(29) CLEAR(30) CLEAR(31)::
                                     : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10",
                                       "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20",
                                       "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30",
                                       "v31");
}

#else

static void clear(void) {
}

#endif

void memory_forget_registers(void) {
    if (memory_is_wiping()) {
        clear();
    }
}
