#include "engine/gguf.h"

/* What ggml numbers a type with is its place here; those without a block are known by name only. */
static const struct {
    const char *name; /* NULL: the number was never given or was taken back */
    uint16_t block;
    uint16_t bytes;
} types[] = {
    [GGUF_F32] = {"F32", 1, 4},
    [GGUF_F16] = {"F16", 1, 2},
    [GGUF_Q4_0] = {"Q4_0", 32, 2 + 16},
    [GGUF_Q4_1] = {"Q4_1", 32, 2 + 2 + 16},
    [GGUF_Q5_0] = {"Q5_0", 32, 2 + 4 + 16},
    [GGUF_Q5_1] = {"Q5_1", 32, 2 + 2 + 4 + 16},
    [GGUF_Q8_0] = {"Q8_0", 32, 2 + 32},
    [9] = {"Q8_1", 0, 0},
    [10] = {"Q2_K", 0, 0},
    [11] = {"Q3_K", 0, 0},
    [GGUF_Q4_K] = {"Q4_K", 256, 2 + 2 + 12 + 128},
    [GGUF_Q5_K] = {"Q5_K", 256, 2 + 2 + 12 + 32 + 128},
    [GGUF_Q6_K] = {"Q6_K", 256, 128 + 64 + 16 + 2},
    [15] = {"Q8_K", 0, 0},
    [16] = {"IQ2_XXS", 0, 0},
    [17] = {"IQ2_XS", 0, 0},
    [18] = {"IQ3_XXS", 0, 0},
    [19] = {"IQ1_S", 0, 0},
    [20] = {"IQ4_NL", 0, 0},
    [21] = {"IQ3_S", 0, 0},
    [22] = {"IQ2_S", 0, 0},
    [23] = {"IQ4_XS", 0, 0},
    [24] = {"I8", 0, 0},
    [25] = {"I16", 0, 0},
    [26] = {"I32", 0, 0},
    [27] = {"I64", 0, 0},
    [28] = {"F64", 0, 0},
    [29] = {"IQ1_M", 0, 0},
    [GGUF_BF16] = {"BF16", 1, 2},
    [31] = {"Q4_0_4_4", 0, 0},
    [32] = {"Q4_0_4_8", 0, 0},
    [33] = {"Q4_0_8_8", 0, 0},
    [34] = {"TQ1_0", 0, 0},
    [35] = {"TQ2_0", 0, 0},
    [36] = {"IQ4_NL_4_4", 0, 0},
    [37] = {"IQ4_NL_4_8", 0, 0},
    [38] = {"IQ4_NL_8_8", 0, 0},
    [39] = {"MXFP4", 0, 0},
    [40] = {"NVFP4", 0, 0},
    [41] = {"Q1_0", 0, 0},
    [42] = {"Q2_0", 0, 0},
};
enum { TYPE_COUNT = sizeof types / sizeof types[0] };

uint32_t gguf_type_block(gguf_type type) {
    return (uint32_t)type < TYPE_COUNT ? types[type].block : 0;
}

uint32_t gguf_type_bytes(gguf_type type) {
    return (uint32_t)type < TYPE_COUNT ? types[type].bytes : 0;
}

const char *gguf_type_name(uint32_t type) {
    return type < TYPE_COUNT && types[type].name != NULL ? types[type].name : "unknown";
}
