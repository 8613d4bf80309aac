#include "base/memory.h"
#include "method.h"
#include "utf8.h"

#include <float.h>

static const double unknown_penalty = 10;

bool unigram_read(unigram *u, const vocabulary *v, const gguf *file, error *err) {
    double lowest = DBL_MAX;
    u->v = v;
    for (uint32_t id = 0; id < v->count; id++) {
        if (v->kinds[id] == KIND_NORMAL && (double)v->scores[id] < lowest) {
            lowest = (double)v->scores[id];
        }
    }
    if (v->roles[TOKEN_UNKNOWN] == NO_TOKEN || lowest == DBL_MAX) {
        return error_set(err, ERROR_CORRUPT,
                         "the vocabulary has no token for what is unknown, or no normal ones");
    }
    u->unknown_score = lowest - unknown_penalty;
    return tokenizer_read_flag(file, "tokenizer.ggml.add_space_prefix", &u->adds_space, err) &&
           tokenizer_read_flag(file, "tokenizer.ggml.remove_extra_whitespaces", &u->removes_spaces, err) &&
           unigram_read_map(u, file, err);
}

void unigram_free(unigram *u) {
    memory_free(u->map);
    memory_free(u->replacements);
}

/* The best way to have written all up to a place. */
typedef struct path {
    double score;
    uint32_t from;
    uint32_t token;
} path;

static void offer(path *to, double score, size_t from, uint32_t token) {
    if (score > to->score) {
        *to = (path){score, (uint32_t)from, token};
    }
}

/* Continues from `place` by every token that fits, and by an unknown character if none is just that one. */
static size_t extend(const unigram *u, slice text, size_t place, path *paths) {
    size_t step = 0;
    uint32_t character = 0;
    uint32_t node = 0;
    bool known = false;
    double score = paths[place].score;
    (void)utf8_next(slice_after(text, place), &step, &character);
    for (size_t end = place; end < text.length;) {
        node = trie_step(&u->v->normal, node, text.data[end]);
        if (node == TRIE_NOWHERE) {
            break;
        }
        end++;
        uint32_t token = u->v->normal.nodes[node].token;
        if (token != NO_TOKEN) {
            known = known || end == place + step;
            offer(&paths[end], score + (double)u->v->scores[token], place, token);
        }
    }
    if (!known) {
        offer(&paths[place + step], score + u->unknown_score, place, u->v->roles[TOKEN_UNKNOWN]);
    }
    return step;
}

/* Neighbouring unknown characters are one token. */
static bool append_path(const unigram *u, path *paths, size_t end, token_list *list, error *err) {
    uint32_t unknown = u->v->roles[TOKEN_UNKNOWN];
    size_t next = end; /* each path on the way is made to point forwards, in `from` */
    for (size_t place = end; place > 0;) {
        size_t from = paths[place].from;
        paths[place].from = (uint32_t)next;
        next = place;
        place = from;
    }
    uint32_t last = NO_TOKEN;
    for (size_t place = next;; place = paths[place].from) {
        uint32_t token = paths[place].token;
        if (!(token == unknown && last == unknown) && !token_list_append(list, token, err)) {
            return false;
        }
        last = token;
        if (place == end) {
            return true;
        }
    }
}

static bool encode_normalized(const unigram *u, slice text, token_list *list, error *err) {
    if (text.length == 0) {
        return true;
    }
    path *paths = memory_allocate_zeroed(text.length + 1, sizeof *paths);
    if (paths == NULL) {
        return error_memory(err);
    }
    for (size_t i = 1; i <= text.length; i++) {
        paths[i].score = -DBL_MAX;
    }
    for (size_t place = 0; place < text.length;) {
        place += extend(u, text, place, paths);
    }
    bool good = append_path(u, paths, text.length, list, err);
    memory_free(paths);
    return good;
}

bool unigram_encode(const unigram *u, slice text, token_list *list, error *err) {
    buffer normalized = buffer_make(SIZE_MAX);
    bool good = unigram_normalize(u, text, &normalized, err) &&
                encode_normalized(u, buffer_slice(&normalized), list, err);
    buffer_wipe(&normalized);
    return good;
}
