#include "evaluate.h"

#include "pass.h"
#include "samples.h"

#include <stdio.h>

enum { BATCH_TOKENS = 2048, BATCH_SEQUENCES = 64 };

static uint32_t likeliest(const pass *p, size_t row) {
    size_t vocabulary = p->m->shape.vocabulary;
    const float *line = p->logits + row * vocabulary;
    uint32_t best = 0;
    for (uint32_t i = 1; i < vocabulary; i++) {
        best = line[i] > line[best] ? i : best;
    }
    return best;
}

static size_t longest(const model *m) {
    return m->shape.context < PASS_SEQUENCE_MAX ? m->shape.context : PASS_SEQUENCE_MAX;
}

/* Checks the gathered sequences, of which the first is the answer to asked[0]. */
static void check(pass *p, const gathering *g, const pairing *asked, bool wrong, evaluate_result *result) {
    batch b = gathering_batch(g);
    size_t row = 0;
    pass_forward(p, &b);
    for (size_t i = 0; i < b.sequences; i++) {
        bool right = true;
        for (; row < p->predictions && p->predicted[row] < b.starts[i + 1]; row++) {
            right = right && likeliest(p, row) == b.targets[p->predicted[row]];
        }
        result->count++;
        result->right += right;
        if (!right && wrong) {
            printf("wrong: %.*s\n", SLICE_FORMAT(asked[i].question));
        }
    }
}

bool evaluate(arena *a, const question_set *set, bool held_out, bool wrong, const model *m,
              const tokenizer *t, evaluate_result *result, error *err) {
    pass p;
    gathering g;
    pairings pairs;
    *result = (evaluate_result){0};
    if (!samples_pair(a, set, held_out, &pairs, err) ||
        !pass_make(a, m, BATCH_TOKENS, longest(m), false, &p, err) ||
        !gathering_make(a, BATCH_TOKENS, BATCH_SEQUENCES, &g, err)) {
        return false;
    }
    p.rounds_activations = true;
    for (size_t next = 0; next < pairs.count; next += g.sequences) {
        gathering_clear(&g);
        size_t end = next;
        while (end < pairs.count && gathering_add(&g, t, pairs.items + end, 1, NULL)) {
            end++;
        }
        if (g.sequences == 0) {
            return error_set(err, ERROR_LIMIT, "a question with its answer is longer than the context");
        }
        check(&p, &g, pairs.items + next, wrong, result);
    }
    return true;
}

bool evaluate_ask(arena *a, slice asked, const model *m, const tokenizer *t, error *err) {
    pass p;
    gathering g;
    size_t most = longest(m);
    if (!pass_make(a, m, most, most, false, &p, err) || !gathering_make(a, most, 1, &g, err)) {
        return false;
    }
    p.rounds_activations = true;
    if (!gathering_add_prompt(&g, t, asked)) {
        return error_set(err, ERROR_LIMIT, "the question is longer than the context; ask a shorter one");
    }
    while (g.count < most) {
        batch b = gathering_batch(&g);
        pass_forward(&p, &b);
        uint32_t token = likeliest(&p, p.predictions - 1);
        if (token >= t->end_of_text) {
            break;
        }
        printf("%.*s", SLICE_FORMAT(t->pieces[token]));
        g.tokens[g.count++] = token;
        g.starts[1] = g.count;
    }
    printf("\n");
    return true;
}
