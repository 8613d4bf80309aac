#include "architecture/description.h"

static const tensor_rule tensors[] = {
    {"token_embd.weight", WIDTH, VOCABULARY, OF_MODEL(embedding), false},
    {"output_norm.weight", WIDTH, ONE, OF_MODEL(final_norm.weights), false},
    {"output.weight", WIDTH, VOCABULARY, OF_MODEL(head.matrix), true},
    {NULL, ONE, ONE, 0, false},
};

static const tensor_rule layer_tensors[] = {
    {"attn_norm.weight", WIDTH, ONE, OF_LAYER(attention_norm.weights), false},
    {"attn_q.weight", WIDTH, QUERIES, OF_LAYER(query.matrix), false},
    {"attn_k.weight", WIDTH, KEYS, OF_LAYER(key.matrix), false},
    {"attn_v.weight", WIDTH, KEYS, OF_LAYER(value.matrix), false},
    {"attn_q.bias", QUERIES, ONE, OF_LAYER(query.bias), false},
    {"attn_k.bias", KEYS, ONE, OF_LAYER(key.bias), false},
    {"attn_v.bias", KEYS, ONE, OF_LAYER(value.bias), false},
    {"attn_output.weight", QUERIES, WIDTH, OF_LAYER(output.matrix), false},
    {"ffn_norm.weight", WIDTH, ONE, OF_LAYER(feed_forward_norm.weights), false},
    {"ffn_gate.weight", WIDTH, HIDDEN, OF_LAYER(gate.matrix), false},
    {"ffn_up.weight", WIDTH, HIDDEN, OF_LAYER(up.matrix), false},
    {"ffn_down.weight", HIDDEN, WIDTH, OF_LAYER(down.matrix), false},
    {NULL, ONE, ONE, 0, false},
};

/* Qwen2 and 2.5 (Yang et al. 2024). */
const description family_qwen2 = {
    .name = "qwen2",
    .norm = NORM_RMS,
    .activation = ACTIVATION_SILU,
    .rope = ROPE_HALVES,
    .tensors = tensors,
    .layer_tensors = layer_tensors,
};
