#include "architecture/description.h"

static const tensor_rule tensors[] = {
    {"token_embd.weight", WIDTH, VOCABULARY, OF_MODEL(embedding), false},
    {"output_norm.weight", WIDTH, ONE, OF_MODEL(final_norm.weights), false},
    {"output.weight", WIDTH, VOCABULARY, OF_MODEL(head.matrix), true},
    {NULL, ONE, ONE, 0, false},
};

static const tensor_rule layer_tensors[] = {
    {"attn_norm.weight", WIDTH, ONE, OF_LAYER(attention_norm.weights), false},
    {"attn_qkv.weight", WIDTH, QUERIES, OF_LAYER(query.matrix), false},
    {"attn_qkv.weight", WIDTH, KEYS, OF_LAYER(key.matrix), false},
    {"attn_qkv.weight", WIDTH, KEYS, OF_LAYER(value.matrix), false},
    {"attn_output.weight", QUERIES, WIDTH, OF_LAYER(output.matrix), false},
    {"ffn_norm.weight", WIDTH, ONE, OF_LAYER(feed_forward_norm.weights), false},
    {"ffn_up.weight", WIDTH, HIDDEN, OF_LAYER(gate.matrix), false},
    {"ffn_up.weight", WIDTH, HIDDEN, OF_LAYER(up.matrix), false},
    {"ffn_down.weight", HIDDEN, WIDTH, OF_LAYER(down.matrix), false},
    {NULL, ONE, ONE, 0, false},
};

/* Phi-3, 3.5 and 4-mini (Abdin et al. 2024): queries, keys and values are one tensor, and so are gate and up.
 */
const description family_phi3 = {
    .name = "phi3",
    .norm = NORM_RMS,
    .activation = ACTIVATION_SILU,
    .rope = ROPE_HALVES,
    .windowed = true,
    .tensors = tensors,
    .layer_tensors = layer_tensors,
};
