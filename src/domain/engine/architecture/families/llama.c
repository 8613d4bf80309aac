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
    {"attn_q.bias", QUERIES, ONE, OF_LAYER(query.bias), true},
    {"attn_k.bias", KEYS, ONE, OF_LAYER(key.bias), true},
    {"attn_v.bias", KEYS, ONE, OF_LAYER(value.bias), true},
    {"attn_output.bias", WIDTH, ONE, OF_LAYER(output.bias), true},
    {"ffn_norm.weight", WIDTH, ONE, OF_LAYER(feed_forward_norm.weights), false},
    {"ffn_gate.weight", WIDTH, HIDDEN, OF_LAYER(gate.matrix), false},
    {"ffn_up.weight", WIDTH, HIDDEN, OF_LAYER(up.matrix), false},
    {"ffn_down.weight", HIDDEN, WIDTH, OF_LAYER(down.matrix), false},
    {"ffn_gate.bias", HIDDEN, ONE, OF_LAYER(gate.bias), true},
    {"ffn_up.bias", HIDDEN, ONE, OF_LAYER(up.bias), true},
    {"ffn_down.bias", WIDTH, ONE, OF_LAYER(down.bias), true},
    {NULL, ONE, ONE, 0, false},
};

/* Llama 1 to 3 (Touvron et al. 2023, Grattafiori et al. 2024), Mistral (Jiang et al. 2023), SmolLM,
 * TinyLlama. */
const description family_llama = {
    .name = "llama",
    .norm = NORM_RMS,
    .activation = ACTIVATION_SILU,
    .rope = ROPE_NEIGHBOURS,
    .windowed = true,
    .tensors = tensors,
    .layer_tensors = layer_tensors,
};
