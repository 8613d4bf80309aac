#include "layers.h"

#include <cblas.h>
#include <math.h>

void layer_matrix(float *y, const float *x, const float *w, size_t rows, size_t in, size_t out) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)rows, (blasint)out, (blasint)in, 1.0F, x,
                (blasint)in, w, (blasint)in, 0.0F, y, (blasint)out);
}

void layer_matrix_backward(float *dx, bool add, float *dw, const float *dy, const float *x, const float *w,
                           size_t rows, size_t in, size_t out) {
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (blasint)out, (blasint)in, (blasint)rows, 1.0F, dy,
                (blasint)out, x, (blasint)in, 1.0F, dw, (blasint)in);
    if (dx != NULL) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)rows, (blasint)in, (blasint)out, 1.0F,
                    dy, (blasint)out, w, (blasint)in, add ? 1.0F : 0.0F, dx, (blasint)in);
    }
}

void layer_norm(float *y, float *scale, const float *x, const float *w, size_t rows, size_t width,
                float epsilon) {
    for (size_t row = 0; row < rows; row++) {
        const float *in = x + row * width;
        float *out = y + row * width;
        float squares = cblas_sdot((blasint)width, in, 1, in, 1);
        scale[row] = 1.0F / sqrtf(squares / (float)width + epsilon);
        for (size_t i = 0; i < width; i++) {
            out[i] = in[i] * scale[row] * w[i];
        }
    }
}

void layer_norm_backward(float *dx, float *dw, const float *dy, const float *x, const float *scale,
                         const float *w, size_t rows, size_t width) {
    for (size_t row = 0; row < rows; row++) {
        const float *in = x + row * width;
        const float *above = dy + row * width;
        float *below = dx + row * width;
        float s = scale[row];
        float along = 0; /* how much the gradient points along x */
        for (size_t i = 0; i < width; i++) {
            along += above[i] * w[i] * in[i];
        }
        float correction = along * s * s / (float)width;
        for (size_t i = 0; i < width; i++) {
            dw[i] += above[i] * in[i] * s;
            below[i] += s * (above[i] * w[i] - in[i] * correction);
        }
    }
}

void layer_rope(const model *m, float *x, size_t rows, uint32_t heads, float direction) {
    uint32_t half = model_head_width(&m->shape) / 2;
    for (size_t row = 0; row < rows; row++) {
        const float *angles = m->rope + row * half * 2;
        for (uint32_t head = 0; head < heads; head++) {
            float *pairs = x + (row * heads + head) * half * 2;
            for (uint32_t i = 0; i < half; i++) {
                float c = angles[2 * i];
                float s = direction * angles[2 * i + 1];
                float first = pairs[2 * i];
                float second = pairs[2 * i + 1];
                pairs[2 * i] = first * c - second * s;
                pairs[2 * i + 1] = second * c + first * s;
            }
        }
    }
}

/* Row by row: softmax over the positions up to the row's own, zero beyond. */
static void causal_softmax(float *scores, size_t rows) {
    for (size_t row = 0; row < rows; row++) {
        float *line = scores + row * rows;
        float most = line[0];
        for (size_t i = 1; i <= row; i++) {
            most = line[i] > most ? line[i] : most;
        }
        float sum = 0;
        for (size_t i = 0; i <= row; i++) {
            line[i] = expf(line[i] - most);
            sum += line[i];
        }
        for (size_t i = 0; i < rows; i++) {
            line[i] = i <= row ? line[i] / sum : 0.0F;
        }
    }
}

void layer_attention(const model_shape *s, float *y, float *weights, const float *q, const float *k,
                     const float *v, size_t rows) {
    uint32_t width = model_head_width(s);
    uint32_t key_width = s->key_heads * width;
    blasint n = (blasint)rows;
    for (uint32_t head = 0; head < s->heads; head++) {
        size_t key = (size_t)(head / (s->heads / s->key_heads)) * width;
        float *w = weights + head * rows * rows;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, n, (blasint)width, 1.0F / sqrtf((float)width),
                    q + (size_t)head * width, (blasint)s->width, k + key, (blasint)key_width, 0.0F, w, n);
        causal_softmax(w, rows);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, (blasint)width, n, 1.0F, w, n, v + key,
                    (blasint)key_width, 0.0F, y + (size_t)head * width, (blasint)s->width);
    }
}

/* From the gradient of the softmax's output to that of its input, in place. */
static void softmax_backward(float *gradient, const float *weights, size_t rows) {
    for (size_t row = 0; row < rows; row++) {
        float *line = gradient + row * rows;
        const float *w = weights + row * rows;
        float mean = 0;
        for (size_t i = 0; i <= row; i++) {
            mean += line[i] * w[i];
        }
        for (size_t i = 0; i < rows; i++) {
            line[i] = w[i] * (line[i] - mean);
        }
    }
}

void layer_attention_backward(const model_shape *s, float *dq, float *dk, float *dv, float *scratch,
                              const float *dy, const float *weights, const float *q, const float *k,
                              const float *v, size_t rows) {
    uint32_t width = model_head_width(s);
    uint32_t key_width = s->key_heads * width;
    blasint n = (blasint)rows;
    blasint w = (blasint)width;
    blasint wide = (blasint)s->width;
    blasint narrow = (blasint)key_width;
    float scale = 1.0F / sqrtf((float)width);
    uint32_t group = s->heads / s->key_heads;
    for (uint32_t head = 0; head < s->heads; head++) {
        size_t query = (size_t)head * width;
        size_t key = (size_t)(head / group) * width;
        float first = head % group == 0 ? 0.0F : 1.0F; /* the heads of a group add to the same dk and dv */
        const float *p = weights + head * rows * rows;
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, w, n, 1.0F, p, n, dy + query, wide, first,
                    dv + key, narrow);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, n, w, 1.0F, dy + query, wide, v + key, narrow,
                    0.0F, scratch, n);
        softmax_backward(scratch, p, rows);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, w, n, scale, scratch, n, k + key, narrow,
                    0.0F, dq + query, wide);
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, w, n, scale, scratch, n, q + query, wide,
                    first, dk + key, narrow);
    }
}

void layer_swiglu(float *y, const float *gate, const float *up, size_t count) {
    for (size_t i = 0; i < count; i++) {
        y[i] = gate[i] / (1.0F + expf(-gate[i])) * up[i];
    }
}

void layer_swiglu_backward(float *dgate, float *dup, const float *dy, const float *gate, const float *up,
                           size_t count) {
    for (size_t i = 0; i < count; i++) {
        float sigmoid = 1.0F / (1.0F + expf(-gate[i]));
        dup[i] = dy[i] * gate[i] * sigmoid;
        dgate[i] = dy[i] * up[i] * sigmoid * (1.0F + gate[i] * (1.0F - sigmoid));
    }
}

void layer_round_activations(float *y, const float *x, size_t rows, size_t width) {
    for (size_t start = 0; start < rows * width; start += 32) {
        float most = 0;
        for (size_t i = start; i < start + 32; i++) {
            most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
        }
        float step = most / 127.0F;
        float inverse = most < 0x1p-100F ? 0.0F : 127.0F / most;
        for (size_t i = start; i < start + 32; i++) {
            y[i] = rintf(x[i] * inverse) * step;
        }
    }
}
