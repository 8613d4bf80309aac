#include "architecture/description.h"

static const tensor_rule tensors[] = {
    {"token_embd.weight", WIDTH, VOCABULARY, OF_MODEL(embedding), false},
    {"position_embd.weight", WIDTH, POSITIONS, OF_MODEL(positions), false},
    {"token_types.weight", WIDTH, ANY, OF_MODEL(segment), true},
    {"token_embd_norm.weight", WIDTH, ONE, OF_MODEL(embedding_norm.weights), false},
    {"token_embd_norm.bias", WIDTH, ONE, OF_MODEL(embedding_norm.bias), false},
    {NULL, ONE, ONE, 0, false},
};

static const tensor_rule layer_tensors[] = {
    {"attn_q.weight", WIDTH, QUERIES, OF_LAYER(query.matrix), false},
    {"attn_k.weight", WIDTH, KEYS, OF_LAYER(key.matrix), false},
    {"attn_v.weight", WIDTH, KEYS, OF_LAYER(value.matrix), false},
    {"attn_output.weight", QUERIES, WIDTH, OF_LAYER(output.matrix), false},
    {"attn_q.bias", QUERIES, ONE, OF_LAYER(query.bias), false},
    {"attn_k.bias", KEYS, ONE, OF_LAYER(key.bias), false},
    {"attn_v.bias", KEYS, ONE, OF_LAYER(value.bias), false},
    {"attn_output.bias", WIDTH, ONE, OF_LAYER(output.bias), false},
    {"attn_output_norm.weight", WIDTH, ONE, OF_LAYER(attention_sum_norm.weights), false},
    {"attn_output_norm.bias", WIDTH, ONE, OF_LAYER(attention_sum_norm.bias), false},
    {"ffn_up.weight", WIDTH, HIDDEN, OF_LAYER(up.matrix), false},
    {"ffn_up.bias", HIDDEN, ONE, OF_LAYER(up.bias), false},
    {"ffn_down.weight", HIDDEN, WIDTH, OF_LAYER(down.matrix), false},
    {"ffn_down.bias", WIDTH, ONE, OF_LAYER(down.bias), false},
    {"layer_output_norm.weight", WIDTH, ONE, OF_LAYER(feed_forward_sum_norm.weights), false},
    {"layer_output_norm.bias", WIDTH, ONE, OF_LAYER(feed_forward_sum_norm.bias), false},
    {NULL, ONE, ONE, 0, false},
};

/* BERT and its kin (Devlin et al. 2019): MiniLM, bge, e5. */
const description family_bert = {
    .name = "bert",
    .norm = NORM_LAYER,
    .activation = ACTIVATION_GELU_ERF,
    .rope = ROPE_NONE,
    .encoder = true,
    .tensors = tensors,
    .layer_tensors = layer_tensors,
};
