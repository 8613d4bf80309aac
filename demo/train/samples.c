#include "samples.h"

#include "vary.h"

bool samples_pair(arena *a, const question_set *set, bool held_out, pairings *result, error *err) {
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++) {
        count += held_out ? set->questions[i].held_out_count : set->questions[i].phrasing_count;
    }
    *result = (pairings){.items = arena_allocate_array(a, count + 1, sizeof(pairing))};
    if (result->items == NULL) {
        return error_memory(err);
    }
    for (size_t i = 0; i < set->count; i++) {
        const question *q = &set->questions[i];
        size_t phrasings = held_out ? q->held_out_count : q->phrasing_count;
        for (size_t k = 0; k < phrasings; k++) {
            result->items[result->count++] =
                (pairing){.question = held_out ? q->held_out[k] : q->phrasings[k], .answer = q->answer};
        }
    }
    return true;
}

void samples_shuffle(pairings *p, random_source *random) {
    for (size_t i = p->count; i > 1; i--) {
        size_t other = random_below(random, (uint32_t)i);
        pairing kept = p->items[i - 1];
        p->items[i - 1] = p->items[other];
        p->items[other] = kept;
    }
}

bool gathering_make(arena *a, size_t capacity, size_t sequences, gathering *g, error *err) {
    *g = (gathering){.tokens = arena_allocate_array(a, capacity, sizeof(uint32_t)),
                     .targets = arena_allocate_array(a, capacity, sizeof(uint32_t)),
                     .starts = arena_allocate_array(a, sequences + 1, sizeof(size_t)),
                     .capacity = capacity,
                     .sequences_max = sequences};
    return (g->tokens != NULL && g->targets != NULL && g->starts != NULL) || error_memory(err);
}

void gathering_clear(gathering *g) {
    g->count = 0;
    g->sequences = 0;
}

batch gathering_batch(const gathering *g) {
    return (batch){.tokens = g->tokens,
                   .targets = g->targets,
                   .tokens_count = g->count,
                   .starts = g->starts,
                   .sequences = g->sequences};
}

static bool add_token(gathering *g, uint32_t token) {
    if (g->count == g->capacity) {
        return false;
    }
    g->tokens[g->count++] = token;
    return true;
}

static bool add_text(gathering *g, const tokenizer *t, slice text) {
    return tokenizer_encode(t, text, g->tokens, &g->count, g->capacity);
}

static bool add_turn(gathering *g, const tokenizer *t, slice role, slice text) {
    return add_token(g, t->turn_start) && add_text(g, t, role) && add_text(g, t, text) &&
           add_token(g, t->turn_end) && add_text(g, t, SLICE_LITERAL("\n"));
}

/* The turn whose text the model is to give: each of its tokens is the target of the one before. With more
 * tokens than `tokens` it breaks off there. */
static bool add_answer(gathering *g, const tokenizer *t, slice answer, size_t tokens) {
    if (!add_token(g, t->turn_start) || !add_text(g, t, SLICE_LITERAL("assistant\n"))) {
        return false;
    }
    size_t first = g->count;
    if (!add_text(g, t, answer) || !add_token(g, t->turn_end)) {
        return false;
    }
    bool cut = g->count - first > tokens;
    g->count = cut ? first + tokens : g->count;
    for (size_t i = first; i < g->count; i++) {
        g->targets[i - 1] = g->tokens[i];
    }
    if (cut) {
        return true;
    }
    return add_text(g, t, SLICE_LITERAL("\n"));
}

static bool add_conversation(gathering *g, const tokenizer *t, const pairing *turns, size_t count,
                             const sample_changes *changes) {
    char text[VARY_TEXT_MAX];
    if (changes != NULL && random_percent(changes->random, 15) &&
        !add_turn(g, t, SLICE_LITERAL("system\n"), vary_system(changes->random))) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        size_t most = changes != NULL && i + 1 == count ? changes->answer_tokens : SIZE_MAX;
        slice asked = turns[i].question;
        if (changes != NULL && random_percent(changes->random, changes->varied_percent)) {
            asked = slice_of(text, vary_question(asked, changes->random, text));
        }
        if (!add_turn(g, t, SLICE_LITERAL("user\n"), asked) || !add_answer(g, t, turns[i].answer, most)) {
            return false;
        }
    }
    return true;
}

/* Closes the sequence that began at `start`, or takes it back. */
static bool close_sequence(gathering *g, size_t start, bool good) {
    if (!good || g->count - start > PASS_SEQUENCE_MAX || g->sequences == g->sequences_max) {
        g->count = start;
        return false;
    }
    g->starts[g->sequences++] = start;
    g->starts[g->sequences] = g->count;
    return true;
}

static void clear_targets(gathering *g, uint32_t value) {
    for (size_t i = g->count; i < g->capacity; i++) {
        g->targets[i] = value;
    }
}

bool gathering_add(gathering *g, const tokenizer *t, const pairing *turns, size_t count,
                   const sample_changes *changes) {
    size_t start = g->count;
    clear_targets(g, PASS_NO_TARGET);
    return close_sequence(g, start, add_conversation(g, t, turns, count, changes));
}

bool gathering_add_prompt(gathering *g, const tokenizer *t, slice asked) {
    size_t start = g->count;
    clear_targets(g, t->turn_end);
    return close_sequence(g, start,
                          add_turn(g, t, SLICE_LITERAL("user\n"), asked) && add_token(g, t->turn_start) &&
                              add_text(g, t, SLICE_LITERAL("assistant\n")));
}
