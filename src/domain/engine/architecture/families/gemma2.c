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
    {"attn_output.weight", QUERIES, WIDTH, OF_LAYER(output.matrix), false},
    {"post_attention_norm.weight", WIDTH, ONE, OF_LAYER(attention_post_norm.weights), false},
    {"ffn_norm.weight", WIDTH, ONE, OF_LAYER(feed_forward_norm.weights), false},
    {"ffn_gate.weight", WIDTH, HIDDEN, OF_LAYER(gate.matrix), false},
    {"ffn_up.weight", WIDTH, HIDDEN, OF_LAYER(up.matrix), false},
    {"ffn_down.weight", HIDDEN, WIDTH, OF_LAYER(down.matrix), false},
    {"post_ffw_norm.weight", WIDTH, ONE, OF_LAYER(feed_forward_post_norm.weights), false},
    {NULL, ONE, ONE, 0, false},
};

/* Gemma 2 (Riviere et al. 2024): every other layer has the window; the model of 27 B scales scores in its own
 * way. */
const description family_gemma2 = {
    .name = "gemma2",
    .norm = NORM_RMS,
    .activation = ACTIVATION_GELU_TANH,
    .rope = ROPE_HALVES,
    .embedding_scaled = true,
    .soft_caps = true,
    .windowed = true,
    .window_pattern = 2,
    .window = 4096,
    .layers_scaled_by_width = 46,
    .tensors = tensors,
    .layer_tensors = layer_tensors,
};
