#include "release/maintainers.h"

#include <inttypes.h>

#define HEADER "cellule maintainers v1\n"
enum { NAMES_LIMIT = 300 }; /* bytes of a list of names in an error */

static bool keys_differ(const note_key *a, const note_key *b) {
    return strcmp(a->name, b->name) != 0 && memcmp(a->public_key, b->public_key, sizeof a->public_key) != 0;
}

/* One key under two names would count twice. */
static bool check(const maintainers *m, error *err) {
    if (m->generation == 0 || m->count == 0 || m->count > MAINTAINERS_MAX || m->threshold == 0 ||
        m->threshold > m->count) {
        return error_set(err, ERROR_INVALID,
                         "a list of maintainers has a generation from 1, 1 to %d keys, and a threshold of at "
                         "most as many",
                         MAINTAINERS_MAX);
    }
    for (size_t i = 0; i < m->count; i++) {
        if (m->keys[i].kind != NOTE_ED25519) {
            return error_set(err, ERROR_INVALID, "%s isn't a key that signs releases", m->keys[i].name);
        }
        for (size_t before = 0; before < i; before++) {
            if (!keys_differ(&m->keys[before], &m->keys[i])) {
                return error_set(err, ERROR_INVALID, "the key or the name %s stands twice in the list",
                                 m->keys[i].name);
            }
        }
    }
    return true;
}

bool maintainers_write(const maintainers *m, buffer *text, error *err) {
    if (!check(m, err)) {
        return false;
    }
    buffer_append_format(text, HEADER "generation %" PRIu64 "\nthreshold %" PRIu32 "\n", m->generation,
                         m->threshold);
    for (size_t i = 0; i < m->count; i++) {
        char key[NOTE_KEY_TEXT_MAX + 1];
        if (!note_key_write(&m->keys[i], key, err)) {
            return false;
        }
        buffer_append_format(text, "key %s\n", key);
    }
    return !buffer_failed(text) || error_memory(err);
}

static bool bad(error *err) {
    return error_set(err, ERROR_INVALID, "not a list of maintainers as this version knows it");
}

bool maintainers_parse(slice text, maintainers *m, error *err) {
    slice header = SLICE_LITERAL(HEADER);
    slice value;
    uint64_t threshold = 0;
    memset(m, 0, sizeof *m);
    if (text.length > RELEASE_NOTE_MAX || !slice_starts_with(text, header)) {
        return bad(err);
    }
    slice rest = slice_after(text, header.length);
    if (!release_take_field(&rest, "generation", &value) || !slice_to_u64(value, &m->generation) ||
        !release_take_field(&rest, "threshold", &value) || !slice_to_u64(value, &threshold) ||
        threshold > MAINTAINERS_MAX) {
        return bad(err);
    }
    m->threshold = (uint32_t)threshold;
    while (release_take_field(&rest, "key", &value)) {
        if (m->count == MAINTAINERS_MAX) {
            return error_set(err, ERROR_LIMIT, "a list of more than %d maintainers", MAINTAINERS_MAX);
        }
        if (!note_key_parse(value, &m->keys[m->count], err)) {
            return error_context(err, "key %zu of the maintainers", m->count + 1);
        }
        m->count++;
    }
    return rest.length == 0 ? check(m, err) : bad(err);
}

static void add_name(buffer *names, const char *name) {
    if (buffer_length(names) + strlen(name) + 2 <= NAMES_LIMIT) {
        buffer_append_format(names, "%s%s", buffer_length(names) == 0 ? "" : ", ", name);
    }
}

bool maintainers_agree(const maintainers *m, const note *n, error *err) {
    size_t signatures = 0;
    buffer missing = buffer_make(NAMES_LIMIT);
    for (size_t i = 0; i < m->count; i++) {
        uint64_t ignored = 0;
        if (note_verify(n, &m->keys[i], &ignored, err)) {
            signatures++;
        } else if (err->code == ERROR_NOT_FOUND) {
            add_name(&missing, m->keys[i].name);
        } else {
            buffer_free(&missing);
            return false;
        }
    }
    bool agreed = signatures >= m->threshold;
    if (!agreed) {
        error_set(err, ERROR_DENIED,
                  "%zu of the maintainers signed it, and %" PRIu32 " must: missing %s %.*s", signatures,
                  m->threshold, signatures + 1 == m->threshold ? "is one of" : "are some of",
                  SLICE_FORMAT(buffer_slice(&missing)));
    }
    buffer_free(&missing);
    return agreed;
}

bool maintainers_succeed(maintainers *m, slice note_bytes, error *err) {
    note n;
    maintainers next;
    if (!note_parse(note_bytes, &n, err) || !maintainers_parse(n.text, &next, err)) {
        return false;
    }
    if (m->generation == UINT64_MAX || next.generation != m->generation + 1) {
        return error_set(err, ERROR_INVALID,
                         "generation %" PRIu64 " of the maintainers doesn't follow %" PRIu64, next.generation,
                         m->generation);
    }
    if (!maintainers_agree(m, &n, err)) {
        return error_context(err, "generation %" PRIu64 " of the maintainers, by the one before",
                             next.generation);
    }
    if (!maintainers_agree(&next, &n, err)) {
        return error_context(err, "generation %" PRIu64 " of the maintainers, by its own", next.generation);
    }
    *m = next;
    return true;
}

bool maintainers_open_manifest(const maintainers *m, slice note_bytes, release_manifest *manifest,
                               error *err) {
    note n;
    return (note_parse(note_bytes, &n, err) && maintainers_agree(m, &n, err) &&
            release_manifest_parse(n.text, manifest, err)) ||
           error_context(err, "the release's manifest");
}
