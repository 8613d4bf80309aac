#include "engine_pass.h"

#include "unit.h"

#include "arithmetic/arithmetic.h"
#include "forward/forward.h"

enum { PAGES_MAX = 16 };

static void keep(forward *f, const architecture *a, const forward_part *part, float *states, float *logits) {
    error err;
    size_t width = a->width;
    for (uint32_t done = 0; done < part->count; done += FORWARD_LOGITS_ROWS) {
        uint32_t left = part->count - done;
        uint32_t rows = left < FORWARD_LOGITS_ROWS ? left : FORWARD_LOGITS_ROWS;
        float *scores = NULL;
        assert_true(logits == NULL || forward_logits(f, part->row + done, rows, &scores, &err));
        for (uint32_t i = 0; i < rows; i++) {
            size_t token = (size_t)part->position + done + i;
            memcpy(states + token * width, forward_hidden(f, part->row + done + i), width * sizeof *states);
            if (logits != NULL) {
                memcpy(logits + token * MODEL_VOCABULARY, scores + i * forward_logits_stride(f),
                       MODEL_VOCABULARY * sizeof *logits);
            }
        }
    }
}

void engine_pass(const model_file *file, const kernels *form, const uint32_t *tokens, uint32_t count,
                 uint32_t portion, float *states, float *logits) {
    error err;
    architecture a;
    page_pool pool;
    arithmetic_state saved;
    page *pages[PAGES_MAX] = {0};
    gguf *g = written_open(&file->bytes, &err);
    crew *alone = crew_new(1, &err);
    assert_true(g != NULL && alone != NULL && count <= PAGES_MAX * CHUNK);
    architecture_source source = {.file = g, .crew = alone};
    if (!architecture_read(&a, &source, &err)) {
        fail_msg("%s", err.text);
    }
    gguf_free(g);
    portion = a.causal ? portion : count;
    forward *f = forward_new(&a, form, alone, portion, &err);
    assert_non_null(f);
    page_pool_start(&pool, &a, UINT64_C(1) << 30);
    for (uint32_t i = 0; i * CHUNK < count; i++) {
        pages[i] = page_take(&pool, &err);
        assert_non_null(pages[i]);
    }
    assert_true(arithmetic_enter(&saved));
    for (uint32_t done = 0; done < count; done += portion) {
        uint32_t size = count - done < portion ? count - done : portion;
        forward_part part = {
            .tokens = tokens + done, .count = size, .position = done, .pages = pages, .wanted = size};
        assert_true(forward_pass(f, &part, 1, &err));
        assert_false(part.failed);
        keep(f, &a, &part, states, logits);
    }
    arithmetic_leave(&saved);
    for (uint32_t i = 0; i < PAGES_MAX; i++) {
        page_release(&pool, pages[i]);
    }
    forward_free(f);
    architecture_free(&a);
    crew_free(alone);
}
