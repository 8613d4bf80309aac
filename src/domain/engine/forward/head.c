#include "arithmetic/arithmetic.h"
#include "forward/workspace.h"

/* From kept hidden states to scores over the vocabulary. */
typedef struct head_work {
    forward *f;
    operand x;
    rows logits;
    uint32_t count;
    bool bad[FORWARD_LOGITS_ROWS];
} head_work;

static bool finish_row(const forward *f, float *logits) {
    const architecture *a = f->a;
    float largest = f->form->largest(logits, a->vocabulary);
    if (largest == largest && a->logit_cap != 0) { /* what isn't finite would come out of it as a number */
        f->form->cap(logits, a->vocabulary, 1.0f, a->logit_cap);
    }
    return largest == largest;
}

static void work(void *context, crew_member *self) {
    head_work *w = context;
    const forward *f = w->f;
    const linear *const linears[] = {&f->a->head};
    size_t first = 0;
    size_t last = 0;
    while (crew_take(self, w->count, 1, &first, &last)) {
        w->bad[first] = !forward_round(f, &w->x, first, linears, 1);
    }
    crew_wait(self);
    forward_multiply(f, self, &w->x, w->count, &(product){&f->a->head, &w->logits}, 1);
    while (crew_take(self, w->count, 1, &first, &last)) {
        float *logits = w->logits.values + first * w->logits.stride;
        if (!finish_row(f, logits) || w->bad[first]) {
            logits[0] = float_of_bits(0x7fc00000U);
        }
    }
    crew_wait(self);
}

bool forward_logits(forward *f, uint32_t row, uint32_t count, float **logits, error *err) {
    if (f->a->head.matrix.tiles == NULL || count > FORWARD_LOGITS_ROWS || row > f->kept_count ||
        count > f->kept_count - row) {
        return error_set(err, ERROR_INTERNAL, "logits were asked for that the pass didn't keep");
    }
    rows hidden = {f->hidden.values + row * f->hidden.stride, f->hidden.stride};
    head_work w = {.f = f,
                   .x = forward_operand(f, &hidden, f->a->width),
                   .logits = {f->logits, f->logits_stride},
                   .count = count};
    *logits = f->logits;
    return crew_run(f->members, work, &w, err);
}
