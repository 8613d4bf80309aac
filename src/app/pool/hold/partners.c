#include "hold/partners.h"
#include "hold/required_internal.h"
#include "session_internal.h"

/* Who may answer one question together: different owners, the same model file, an exact profile. */

static const session_model *exact_model(const session *s, slice name) {
    for (size_t i = 0; i < s->model_count; i++) {
        if (slice_equal(s->models[i].name, name)) {
            bool exact = slice_starts_with(slice_of_text(s->models[i].profile), SLICE_LITERAL("exact-"));
            return exact && s->models[i].does[PROTO_GENERATE] ? &s->models[i] : NULL;
        }
    }
    return NULL;
}

static bool same_bits(const session_model *a, const session_model *b) {
    return memcmp(a->digest, b->digest, sizeof a->digest) == 0 && strcmp(a->profile, b->profile) == 0;
}

/* An owner that isn't known is nobody's other owner. */
static bool other_owner(const fleet_worker *a, const fleet_worker *b) {
    return a != b && a->owner[0] != '\0' && b->owner[0] != '\0' && strcmp(a->owner, b->owner) != 0;
}

/* What isn't known is equal to everything. */
bool partners_are_independent(const fleet_worker *a, const fleet_worker *b) {
    return other_owner(a, b) && a->approved_by != 0 && b->approved_by != 0 &&
           a->approved_by != b->approved_by && a->network[0] != '\0' && b->network[0] != '\0' &&
           strcmp(a->network, b->network) != 0;
}

bool partners_can_prove(const pool *p, slice model, const uint8_t worker_id[STORE_WORKER_ID_SIZE],
                        const receipt *answer) {
    const fleet_worker *worker = fleet_find(p->fleet, worker_id);
    for (const list_node *node = p->sessions.next; node != &p->sessions; node = node->next) {
        const session *s = LIST_ENTRY(node, const session, node);
        const session_model *theirs = s->state == PROTO_SERVING ? exact_model(s, model) : NULL;
        if (theirs != NULL && worker != NULL && s->worker != worker &&
            (s->worker->referee || other_owner(s->worker, worker)) &&
            memcmp(theirs->digest, answer->model_digest, sizeof theirs->digest) == 0 &&
            strcmp(theirs->profile, answer->engine_profile) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_partner(const pool *p, const session *s, const session_model *model) {
    for (const list_node *node = p->sessions.next; node != &p->sessions; node = node->next) {
        const session *other = LIST_ENTRY(node, const session, node);
        const session_model *theirs = other->state == PROTO_SERVING ? exact_model(other, model->name) : NULL;
        if (theirs != NULL && other_owner(s->worker, other->worker) && same_bits(model, theirs)) {
            return true;
        }
    }
    return false;
}

/* Owners are either all the same, and one look at each is enough, or two that differ are soon found. */
bool partners_exist(const pool *p, slice model) {
    enum { FILES_MAX = 32 };
    const session *first[FILES_MAX];
    const session_model *models[FILES_MAX];
    size_t count = 0;
    for (const list_node *node = p->sessions.next; node != &p->sessions; node = node->next) {
        const session *s = LIST_ENTRY(node, const session, node);
        const session_model *offered = s->state == PROTO_SERVING ? exact_model(s, model) : NULL;
        if (offered == NULL || s->worker->owner[0] == '\0') {
            continue;
        }
        size_t i = 0;
        while (i < count && !same_bits(models[i], offered)) {
            i++;
        }
        if (i < count && other_owner(first[i]->worker, s->worker)) {
            return true;
        }
        if (i == count && count < FILES_MAX) {
            first[count] = s;
            models[count++] = offered;
        }
    }
    return false;
}

/* A referee judges whoever it is, as long as it isn't one of them. */
static bool fits(const part *t, const fleet_worker *worker, bool strictly) {
    const required *r = t->whole;
    for (size_t i = 0; i < r->part_count; i++) {
        const part *other = &r->parts[i];
        if (other == t || !part_counts(other)) {
            continue;
        }
        bool fit = t->judges && worker->referee ? worker != other->worker
                   : strictly                   ? partners_are_independent(worker, other->worker)
                                                : other_owner(worker, other->worker);
        if (!fit) {
            return false;
        }
    }
    return true;
}

static const session_model *same_file(const part *t, const session *s) {
    const required *r = t->whole;
    const session_model *model = s->worker == NULL ? NULL : exact_model(s, t->work.model);
    bool same = model != NULL && (!r->has_model || (memcmp(model->digest, r->digest, sizeof r->digest) == 0 &&
                                                    strcmp(model->profile, r->profile) == 0));
    return same ? model : NULL;
}

void partners_look(part *t) {
    const pool *p = t->work.pool;
    t->strictly = false;
    t->referee_only = false;
    for (const list_node *node = p->sessions.next; node != &p->sessions; node = node->next) {
        const session *s = LIST_ENTRY(node, const session, node);
        if (s->state == PROTO_SERVING && same_file(t, s) != NULL) {
            t->strictly = t->strictly || fits(t, s->worker, true);
            t->referee_only =
                t->referee_only || (t->judges && s->worker->referee && fits(t, s->worker, false));
        }
    }
}

bool partners_allow(const part *t, const session *s) {
    const required *r = t->whole;
    const session_model *model = same_file(t, s);
    if (model == NULL || (t->referee_only && !s->worker->referee)) {
        return false;
    }
    return r->has_model ? fits(t, s->worker, t->strictly) : has_partner(t->work.pool, s, model);
}
