#include "format/dequantise.h"

#include "unit.h"

#include "arithmetic/arithmetic.h"
#include "model_file.h"
#include "quantise_file.h"

enum { BLOCKS = 5, ROW_MAX = BLOCKS * GGUF_BLOCK_MAX, BYTES_MAX = BLOCKS * GGUF_BLOCK_BYTES_MAX };

static uint32_t bits_of(double value) {
    return bits_of_float((float)value);
}

/* Random bytes are valid blocks of any type, of all scales, subnormal ones too. Those that aren't finite are
 * left out: the engine refuses what they lead to. */
static void test_every_type_decodes_to_the_exact_value_rounded_once(void **state) {
    (void)state;
    uint8_t bytes[BYTES_MAX + 1];
    float out[ROW_MAX];
    uint64_t random = 3;
    arithmetic_state saved;
    assert_true(arithmetic_enter(&saved));
    for (size_t t = 0; t < QUANTISED_TYPES; t++) {
        gguf_type type = quantised_types[t];
        uint32_t block = gguf_type_block(type);
        size_t finite = 0;
        for (size_t round = 0; round < 200; round++) {
            for (size_t i = 0; i < sizeof bytes; i++) {
                bytes[i] = (uint8_t)test_random(&random);
            }
            dequantise_row(type, bytes + 1, (size_t)BLOCKS * block, out);
            for (uint32_t i = 0; i < BLOCKS * block; i++) {
                const uint8_t *at = bytes + 1 + i / block * gguf_type_bytes(type);
                double value = quantised_value(type, at, i % block);
                bool is_zero = out[i] == 0 && value == 0; /* of either sign */
                if (isfinite(value) && !is_zero) {
                    assert_int_equal(bits_of_float(out[i]), bits_of(value));
                    finite++;
                }
            }
        }
        assert_in_range(finite, 100 * BLOCKS * block, SIZE_MAX);
    }
    arithmetic_leave(&saved);
}

/* Blocks put together by hand from the layouts in ggml-common.h, so that a mistake shared by the engine and
 * the tests' own decoder is seen. 0x3c00 is 1, 0x3800 is 0.5, 0xbc00 is -1. */
static void test_blocks_made_by_hand_decode_to_what_their_layout_says(void **state) {
    (void)state;
    float out[GGUF_BLOCK_MAX];
    const uint8_t q4_0[18] = {0x00, 0x3c, 0x1f, [17] = 0xa0};
    dequantise_row(GGUF_Q4_0, q4_0, 32, out);
    assert_true(out[0] == 7 && out[16] == -7 && out[15] == -8 && out[31] == 2);
    const uint8_t q4_1[20] = {0x00, 0x38, 0x00, 0xbc, 0x31};
    dequantise_row(GGUF_Q4_1, q4_1, 32, out);
    assert_true(out[0] == -0.5f && out[16] == 0.5f && out[1] == -1);
    const uint8_t q5_0[22] = {0x00, 0x3c, 0x01, 0x00, 0x02, 0x80, 0x05, 0x30};
    dequantise_row(GGUF_Q5_0, q5_0, 32, out);
    assert_true(out[0] == 5 && out[16] == -16 && out[1] == -16 && out[17] == 3 && out[31] == 0);
    const uint8_t q5_1[24] = {0x00, 0x3c, 0x00, 0xbc, 0x00, 0x00, 0x01, 0x00, 0x72};
    dequantise_row(GGUF_Q5_1, q5_1, 32, out);
    assert_true(out[0] == 1 && out[16] == 22 && out[31] == -1);
    const uint8_t q8_0[34] = {0x00, 0x38, 0x80, [33] = 0x7f};
    dequantise_row(GGUF_Q8_0, q8_0, 32, out);
    assert_true(out[0] == -64 && out[31] == 63.5f);
    /* Sub-block 1: scale 2, minimum 3. Sub-block 5: scale 16+4, minimum 32+5. */
    const uint8_t q4_k[144] = {
        0x00, 0x3c,       0x00, 0x38, 0, 2 | 1 << 6, 0,           0,
        0,    3 | 2 << 6, 0,    0,    0, 4 | 5 << 4, [16] = 0x70, [16 + 64 + 31] = 0x90};
    dequantise_row(GGUF_Q4_K, q4_k, 256, out);
    assert_true(out[32] == 2 * 7 - 1.5f && out[33] == -1.5f && out[0] == 0);
    assert_true(out[5 * 32 + 31] == 20 * 9 - 18.5f && out[5 * 32] == -18.5f && out[4 * 32 + 31] == 0);
    uint8_t q5_k[176] = {0};
    memcpy(q5_k, q4_k, 16);
    q5_k[16] = 1 << 1;      /* fifth bit of weight 0 of sub-block 1 */
    q5_k[16 + 31] = 1 << 5; /* of weight 31 of sub-block 5 */
    q5_k[48] = 0x70;
    q5_k[48 + 64 + 31] = 0x90;
    dequantise_row(GGUF_Q5_K, q5_k, 256, out);
    assert_true(out[32] == 2 * 23 - 1.5f && out[5 * 32 + 31] == 20 * 25 - 18.5f && out[0] == 0);
    uint8_t q6_k[210] = {0};
    q6_k[209] = 0x3c;
    q6_k[192 + 0] = 1;
    q6_k[192 + 8 + 3] = 0xfe;  /* weights 128 + 48 to 63: -2 */
    q6_k[192 + 8 + 7] = 3;     /* weights 128 + 112 to 127 */
    q6_k[0] = 0x0f;            /* weight 0: 15 */
    q6_k[64 + 32 + 31] = 0x21; /* weights 128 + 63: 1, 128 + 127: 2 */
    q6_k[128 + 32 + 31] = 0xc0 | 0x04;
    dequantise_row(GGUF_Q6_K, q6_k, 256, out);
    assert_true(out[0] == 15 - 32 && out[1] == -32 && out[16] == 0);
    assert_true(out[128 + 63] == -2 * (17 - 32) && out[128 + 127] == 3 * (50 - 32));
}

static void test_rounding_keeps_weights_within_a_step(void **state) {
    (void)state;
    static const double errors[QUANTISED_TYPES] = {0,        0x1p-11,  0x1p-8,   1 / 200.0, 1 / 7.0, 1 / 14.0,
                                                   1 / 15.0, 1 / 30.0, 1 / 10.0, 1 / 20.0,  1 / 20.0};
    uint64_t random = 5;
    for (size_t t = 0; t < QUANTISED_TYPES; t++) {
        for (size_t round = 0; round < 100; round++) {
            float values[GGUF_BLOCK_MAX];
            uint8_t block[GGUF_BLOCK_BYTES_MAX];
            for (size_t i = 0; i < GGUF_BLOCK_MAX; i++) {
                values[i] = test_random_float(&random);
            }
            quantise_block(quantised_types[t], values, block);
            for (uint32_t i = 0; i < gguf_type_block(quantised_types[t]); i++) {
                double off = fabs(quantised_value(quantised_types[t], block, i) - (double)values[i]);
                assert_true(off <= errors[t]);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_decodes_to_the_exact_value_rounded_once),
        cmocka_unit_test(test_blocks_made_by_hand_decode_to_what_their_layout_says),
        cmocka_unit_test(test_rounding_keeps_weights_within_a_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
