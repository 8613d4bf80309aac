#include "sample/mask.h"

#include "base/memory.h"

enum { WORTH_KEEPING = 1024 /* nodes walked */ };

/* The tokens that can be read from a frame of one rule without that rule's end; and the nodes of the
 * vocabulary's tree with children at which the rule may end, behind which whoever waits for it decides.
 * Depends on the frame alone. */
struct token_mask {
    size_t word_count;
    size_t exit_count;
    uint32_t work;    /* that finding it took: whoever takes it from here pays the same */
    uint64_t words[]; /* then the exits, as uint32_t */
};

struct constraint {
    const word_tree *words;
    grammar *grammar;
    recogniser *text;  /* what was accepted */
    recogniser *trial; /* a frame alone */
    uint64_t *allowed;
    uint64_t *found; /* by the walk from a frame */
    uint32_t *exits;
    size_t exit_count;
    uint32_t after[WORD_LENGTH_MAX + 1]; /* of the walk, by depth: where the subtree ends */
};

static size_t word_count(const constraint *c) {
    return ((size_t)c->words->size + 63) / 64;
}

constraint *constraint_new(const word_tree *v, grammar *g, error *err) {
    constraint *c = memory_allocate_zeroed(1, sizeof *c);
    if (c == NULL) {
        error_memory(err);
        grammar_free(g);
        return NULL;
    }
    c->words = v;
    c->grammar = g;
    c->text = recogniser_new(g, err);
    c->trial = c->text == NULL ? NULL : recogniser_new(g, err);
    if (c->trial == NULL) {
        constraint_free(c);
        return NULL;
    }
    c->allowed = memory_allocate_zeroed(word_count(c), sizeof *c->allowed);
    c->found = memory_allocate_zeroed(word_count(c), sizeof *c->found);
    c->exits = memory_allocate_zeroed((size_t)v->node_count + 1, sizeof *c->exits);
    if (c->allowed == NULL || c->found == NULL || c->exits == NULL) {
        error_memory(err);
        constraint_free(c);
        return NULL;
    }
    return c;
}

void constraint_free(constraint *c) {
    if (c != NULL) {
        recogniser_free(c->text);
        recogniser_free(c->trial);
        grammar_free(c->grammar);
        memory_free(c->allowed);
        memory_free(c->found);
        memory_free(c->exits);
        memory_free(c);
    }
}

bool constraint_accept(constraint *c, slice text) {
    return recogniser_accept(c->text, text);
}

bool constraint_can_end(const constraint *c) {
    return recogniser_can_end(c->text);
}

const error *constraint_failure(const constraint *c) {
    const error *failure = recogniser_failure(c->text);
    return failure != NULL ? failure : recogniser_failure(c->trial);
}

static void allow(const word_tree *v, uint32_t node_id, uint64_t *words) {
    for (uint32_t i = v->first[node_id]; i < v->first[node_id + 1]; i++) {
        words[v->tokens[i] / 64] |= UINT64_C(1) << v->tokens[i] % 64;
    }
}

/* Walks nodes [from, to), siblings and what is below them, reading on from the recogniser's last level.
 * Returns how many nodes it looked at. */
static uint32_t walk(constraint *c, recogniser *r, uint32_t from, uint32_t to, uint64_t *words,
                     bool with_exits) {
    const word_tree *v = c->words;
    uint32_t looked = 0;
    size_t depth = 0;
    for (uint32_t i = from; i < to && recogniser_failure(r) == NULL; looked++) {
        while (depth > 0 && i >= c->after[depth - 1]) {
            recogniser_take_back(r);
            depth--;
        }
        if (!recogniser_step(r, v->bytes[i])) {
            i = v->after[i];
            continue;
        }
        allow(v, i, words);
        if (v->after[i] == i + 1) {
            recogniser_take_back(r);
        } else {
            if (with_exits && recogniser_can_end(r)) {
                c->exits[c->exit_count++] = i;
            }
            c->after[depth++] = v->after[i];
        }
        i++;
    }
    for (; depth > 0; depth--) {
        recogniser_take_back(r);
    }
    return looked;
}

/* Failing to get memory only means to walk again another time. */
static void keep(constraint *c, uint32_t frame_id, uint32_t work) {
    size_t words = word_count(c) * sizeof(uint64_t);
    size_t size = sizeof(token_mask) + words + c->exit_count * sizeof *c->exits;
    size_t *room = grammar_mask_room(c->grammar);
    token_mask *kept = size > *room ? NULL : memory_allocate(size);
    if (kept != NULL) {
        *room -= size;
        kept->word_count = word_count(c);
        kept->exit_count = c->exit_count;
        kept->work = work;
        memcpy(kept->words, c->found, words);
        memcpy((char *)kept->words + words, c->exits, c->exit_count * sizeof *c->exits);
        grammar_frame(c->grammar, frame_id)->mask = kept;
    }
}

/* Leaves the frame's tokens and exits in `found` and `exits`. Costs the same work whether it was kept or not,
 * so that the bound on a draw's work is met by the same texts on every machine. */
static void find_from_frame(constraint *c, uint32_t frame_id) {
    const token_mask *kept = grammar_frame(c->grammar, frame_id)->mask;
    size_t words = word_count(c) * sizeof(uint64_t);
    if (kept != NULL) {
        memcpy(c->found, kept->words, words);
        memcpy(c->exits, (const char *)kept->words + words, kept->exit_count * sizeof *c->exits);
        c->exit_count = kept->exit_count;
        (void)recogniser_spend(c->trial, kept->work);
        return;
    }
    const uint32_t before = recogniser_work_left(c->trial);
    memset(c->found, 0, words);
    c->exit_count = 0;
    recogniser_start_at(c->trial, frame_id);
    uint32_t looked = walk(c, c->trial, 0, c->words->node_count, c->found, true);
    if (looked >= WORTH_KEEPING && recogniser_failure(c->trial) == NULL) {
        keep(c, frame_id, before - recogniser_work_left(c->trial));
    }
}

static void add_reading(constraint *c, reading at) {
    if (!grammar_frame(c->grammar, at.frame)->takes_bytes) {
        return;
    }
    find_from_frame(c, at.frame);
    for (size_t i = 0; i < word_count(c); i++) {
        c->allowed[i] |= c->found[i];
    }
    if (c->exit_count > 0 && recogniser_return(c->text, at.node)) {
        for (size_t i = 0; i < c->exit_count; i++) {
            uint32_t at_exit = c->exits[i];
            (void)walk(c, c->text, at_exit + 1, c->words->after[at_exit], c->allowed, false);
        }
        recogniser_take_back(c->text);
    }
}

const uint64_t *constraint_allowed(constraint *c, error *err) {
    memset(c->allowed, 0, word_count(c) * sizeof *c->allowed);
    recogniser_allow_work(c->text);
    recogniser_allow_work(c->trial);
    size_t count = 0;
    (void)recogniser_readings(c->text, &count);
    for (size_t i = 0; i < count && constraint_failure(c) == NULL; i++) {
        size_t ignored = 0;
        add_reading(c, recogniser_readings(c->text, &ignored)[i]); /* the list may move */
    }
    if (constraint_failure(c) != NULL) {
        *err = *constraint_failure(c);
        return NULL;
    }
    return c->allowed;
}
