#ifndef TRAIN_LAYERS_H
#define TRAIN_LAYERS_H

#include "model.h"

/* The parts of a transformer and their gradients. Matrices are row after row; `rows` counts tokens. A
 * backward function adds to the gradients of parameters, and writes the gradient of its input unless it says
 * otherwise. */

/* y[rows][out] = x[rows][in] · w[out][in] transposed. */
void layer_matrix(float *y, const float *x, const float *w, size_t rows, size_t in, size_t out);
/* dx is added to when `add`; dx may be NULL. */
void layer_matrix_backward(float *dx, bool add, float *dw, const float *dy, const float *x, const float *w,
                           size_t rows, size_t in, size_t out);

/* scale[row] = 1 / sqrt(mean square + epsilon) is kept for the backward pass. */
void layer_norm(float *y, float *scale, const float *x, const float *w, size_t rows, size_t width,
                float epsilon);
/* Adds to dx. */
void layer_norm_backward(float *dx, float *dw, const float *dy, const float *x, const float *scale,
                         const float *w, size_t rows, size_t width);

/* Turns each neighbouring pair of each head by its position's angle; `direction` is 1, or -1 for the
 * gradient. */
void layer_rope(const model *m, float *x, size_t rows, uint32_t heads, float direction);

/* Causal attention within one sequence of `rows` tokens. `weights` has room for heads·rows·rows and is kept
 * for the backward pass. */
void layer_attention(const model_shape *s, float *y, float *weights, const float *q, const float *k,
                     const float *v, size_t rows);
/* `scratch` has room for rows·rows. Writes dq, dk and dv. */
void layer_attention_backward(const model_shape *s, float *dq, float *dk, float *dv, float *scratch,
                              const float *dy, const float *weights, const float *q, const float *k,
                              const float *v, size_t rows);

/* y = silu(gate) · up. */
void layer_swiglu(float *y, const float *gate, const float *up, size_t count);
void layer_swiglu_backward(float *dgate, float *dup, const float *dy, const float *gate, const float *up,
                           size_t count);

/* Rounds as an engine with 8-bit activations does: blocks of 32 along the row, one scale each. */
void layer_round_activations(float *y, const float *x, size_t rows, size_t width);

#endif
