#include "arithmetic/arithmetic.h"
#include "crypto/secret.h"
#include "serve/sequence.h"

static bool writes(const engine_sequence *s) {
    return s->kind == SEQUENCE_GENERATE && s->drawn > 0;
}

static void plan(engine_model *m) {
    model_pass *p = &m->pass;
    p->sequence_count = 0;
    p->part_count = 0;
    for (list_node *node = m->sequences.next; node != &m->sequences; node = node->next) {
        engine_sequence *s = LIST_ENTRY(node, engine_sequence, node);
        p->sequences[p->sequence_count] = s;
        p->entries[p->sequence_count++] = (schedule_entry){
            .pending = s->known - s->computed, .writes = writes(s), .whole = !m->architecture.causal};
    }
    schedule_pass(p->entries, p->sequence_count, m->turn, m->batch);
}

static bool make_parts(engine_model *m, error *err) {
    model_pass *p = &m->pass;
    for (size_t i = 0; i < p->sequence_count; i++) {
        engine_sequence *s = p->sequences[i];
        uint32_t count = p->entries[i].count;
        if (count == 0) {
            continue;
        }
        if (!sequence_take_pages(s, s->computed + count, err)) {
            return false;
        }
        p->owners[p->part_count] = s;
        p->parts[p->part_count++] = (forward_part){.tokens = s->tokens + s->computed,
                                                   .count = count,
                                                   .position = s->computed,
                                                   .pages = s->pages,
                                                   .wanted = sequence_wanted(s, s->computed, count)};
    }
    return true;
}

/* What a step tells, one output per sequence at most. */
typedef struct telling {
    engine_output *outputs;
    size_t count;
} telling;

static void tell(telling *t, engine_sequence *s, engine_output output) {
    output.sequence = s;
    t->outputs[t->count++] = output;
    if (output.finish == ENGINE_FAILED) {
        t->outputs[t->count - 1].failure = &s->failure;
    } else if (output.finish != ENGINE_RUNNING) {
        sequence_finish(s, output.finish);
    }
}

static void tell_failure(telling *t, engine_sequence *s, const error *cause) {
    sequence_fail(s, cause);
    tell(t, s, (engine_output){.finish = ENGINE_FAILED});
}

/* The sequences that computed something stand where they are now, and share what has become full. */
static void move_on(engine_model *m, telling *t) {
    model_pass *p = &m->pass;
    for (size_t i = 0; i < p->part_count; i++) {
        engine_sequence *s = p->owners[i];
        error cause;
        if (p->parts[i].failed && score_is_settled(s) && score_close(s, &cause)) {
            tell(t, s, (engine_output){.finish = ENGINE_SCORED});
        } else if (p->parts[i].failed) {
            error_set(&cause, ERROR_UNSUPPORTED, "the model computes something that is not a finite number");
            tell_failure(t, s, &cause);
        } else {
            s->computed += p->parts[i].count;
            sequence_share_pages(s);
        }
    }
}

static void embed_part(engine_model *m, engine_sequence *s, const forward_part *part, telling *t) {
    error cause;
    for (uint32_t i = 0; i < part->wanted; i++) {
        embed_row(s, forward_hidden(m->forward, part->row + i),
                  part->position + part->count - part->wanted + i);
    }
    if (s->computed < s->known) {
        return;
    }
    if (embed_finish(s, &cause)) {
        tell(t, s, (engine_output){.finish = ENGINE_EMBEDDED});
    } else {
        tell_failure(t, s, &cause);
    }
}

static bool wants_logits(const model_pass *p, size_t part) {
    const engine_sequence *s = p->owners[part];
    return s->finish == ENGINE_RUNNING && s->kind != SEQUENCE_EMBED && p->parts[part].wanted > 0;
}

/* The first kept row from `row` on whose logits somebody waits for; UINT32_MAX if there is none. */
static uint32_t next_row(const model_pass *p, uint32_t row) {
    for (size_t i = 0; i < p->part_count; i++) {
        const forward_part *part = &p->parts[i];
        if (wants_logits(p, i) && row < part->row + part->wanted) {
            return row > part->row ? row : part->row;
        }
    }
    return UINT32_MAX;
}

/* The rows whose logits are at hand, in the parts' order. */
typedef struct row_group {
    engine_model *model;
    answer_row rows[FORWARD_LOGITS_ROWS];
    size_t count;
    answer_row *ahead[FORWARD_LOGITS_ROWS]; /* those that wait for no other */
    size_t ahead_count;
} row_group;

static void list_rows(row_group *g, uint32_t first, uint32_t last, const float *logits) {
    const model_pass *p = &g->model->pass;
    const size_t stride = forward_logits_stride(g->model->forward);
    for (size_t i = 0; i < p->part_count; i++) {
        const forward_part *part = &p->parts[i];
        engine_sequence *s = p->owners[i];
        uint32_t from = part->row > first ? part->row : first;
        uint32_t to = part->row + part->wanted < last ? part->row + part->wanted : last;
        for (uint32_t row = from; wants_logits(p, i) && row < to; row++) {
            answer_row *r = &g->rows[g->count++];
            r->sequence = s;
            r->logits = logits == NULL ? NULL : logits + (row - first) * stride;
            r->position = s->prompt_count + s->drawn + (row - from);
            r->read = false;
            if (row == from || !sampler_has_memory(s->sampler)) {
                g->ahead[g->ahead_count++] = r;
            }
        }
    }
}

static void read_ahead(void *context, crew_member *self) {
    row_group *g = context;
    size_t first = 0;
    size_t last = 0;
    while (crew_index(self) < SAMPLING_HANDS_MAX && crew_take(self, g->ahead_count, 1, &first, &last)) {
        answer_read(g->ahead[first], crew_index(self));
    }
}

static void add_row(answer_row *row, telling *t) {
    error cause;
    engine_output output = {0};
    if (!row->read) {
        answer_read(row, 0);
    }
    if (!answer_add(row->sequence, row, &output, &cause)) {
        tell_failure(t, row->sequence, &cause);
    } else if (output.has_token || output.finish != ENGINE_RUNNING) {
        tell(t, row->sequence, output);
    }
}

static void answer_group(engine_model *m, uint32_t first, uint32_t last, telling *t) {
    row_group g;
    float *logits = NULL;
    error cause;
    bool good = forward_logits(m->forward, first, last - first, &logits, &cause);
    g.model = m;
    g.count = 0;
    g.ahead_count = 0;
    list_rows(&g, first, last, logits);
    if (good && g.ahead_count > 1) {
        error ignored; /* then they are read one by one */
        (void)!crew_run(m->members, read_ahead, &g, &ignored);
    }
    for (size_t i = 0; i < g.count; i++) {
        if (g.rows[i].sequence->finish != ENGINE_RUNNING) {
            continue;
        }
        if (good) {
            add_row(&g.rows[i], t);
        } else {
            tell_failure(t, g.rows[i].sequence, &cause);
        }
    }
    secret_wipe(g.rows, g.count * sizeof *g.rows); /* the most likely tokens of conversations */
}

static uint32_t row_count(const model_pass *p) {
    uint32_t rows = 0;
    for (size_t i = 0; i < p->part_count; i++) {
        rows += p->parts[i].wanted;
    }
    return rows;
}

static void answer_parts(engine_model *m, telling *t) {
    model_pass *p = &m->pass;
    const uint32_t rows = row_count(p);
    for (size_t i = 0; i < p->part_count; i++) {
        if (p->owners[i]->kind == SEQUENCE_EMBED && p->owners[i]->finish == ENGINE_RUNNING) {
            embed_part(m, p->owners[i], &p->parts[i], t);
        }
    }
    uint32_t first = next_row(p, 0);
    while (first < rows) {
        uint32_t last = rows - first > FORWARD_LOGITS_ROWS ? first + FORWARD_LOGITS_ROWS : rows;
        answer_group(m, first, last, t);
        first = next_row(p, last);
    }
}

static bool step(engine_model *m, telling *t, error *err) {
    plan(m);
    if (m->pass.sequence_count == 0) {
        return true;
    }
    if (!make_parts(m, err) || !forward_pass(m->forward, m->pass.parts, m->pass.part_count, err)) {
        return false;
    }
    m->turn++;
    move_on(m, t);
    answer_parts(m, t);
    return true;
}

bool engine_step(engine_model *m, engine_output *outputs, size_t *count, error *err) {
    arithmetic_state saved;
    telling t = {.outputs = outputs};
    *count = 0;
    if (!arithmetic_enter(&saved)) {
        return error_set(err, ERROR_INTERNAL, "the processor's rounding mode can't be set");
    }
    bool good = step(m, &t, err);
    arithmetic_leave(&saved);
    *count = t.count;
    return good;
}
