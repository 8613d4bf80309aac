#include "proof/parties.h"

#include "base/memory.h"
#include "proof/standings.h"
#include "session_internal.h"

#include <arpa/inet.h>
#include <stdio.h>

struct parties {
    session **members; /* referees, then the others; session.party is the place, from 1 */
    size_t count;
    size_t referees;
    size_t capacity;
    /* All have the same network, or approver: then nothing better is looked for (verify/choice.h). */
    bool one_network, one_approver;
    bool stale; /* one has left, and there may be no difference any more */
};

enum { FIRST_CAPACITY = 16 };

parties *parties_new(error *err) {
    parties *all = memory_allocate_zeroed(1, sizeof *all);
    if (all == NULL) {
        error_memory(err);
    }
    return all;
}

void parties_free(parties *all) {
    if (all != NULL) {
        memory_free(all->members);
        memory_free(all);
    }
}

static void put(parties *all, size_t index, session *s) {
    all->members[index] = s;
    s->party = index + 1;
}

static void compare(parties *all, const session *s) {
    const fleet_worker *one = all->members[0]->worker;
    all->one_network = all->one_network && strcmp(one->network, s->worker->network) == 0;
    all->one_approver = all->one_approver && one->approved_by == s->worker->approved_by;
}

/* As a rule two that differ are soon found, or there are none that do and none of them has left. */
static void compare_all(parties *all) {
    all->one_network = true;
    all->one_approver = true;
    all->stale = false;
    for (size_t i = 0; i < all->count && (all->one_network || all->one_approver); i++) {
        compare(all, all->members[i]);
    }
}

bool parties_add(parties *all, session *s, error *err) {
    if (all->count == all->capacity) {
        size_t capacity = all->capacity == 0 ? FIRST_CAPACITY : all->capacity * 2;
        session **members = memory_resize(all->members, capacity * sizeof *members);
        if (members == NULL) {
            return error_memory(err);
        }
        all->members = members;
        all->capacity = capacity;
    }
    put(all, all->count++, s);
    if (s->worker->referee) {
        session *other = all->members[all->referees];
        put(all, all->count - 1, other);
        put(all, all->referees++, s);
    }
    if (s->party == 1) {
        compare_all(all); /* the others were compared with another one */
    } else {
        compare(all, s);
    }
    return true;
}

void parties_remove(parties *all, session *s) {
    if (s->party == 0) {
        return;
    }
    size_t hole = s->party - 1;
    s->party = 0;
    if (hole < all->referees) {
        size_t last = --all->referees;
        if (last != hole) {
            put(all, hole, all->members[last]);
        }
        hole = last;
    }
    size_t end = --all->count;
    if (end != hole) {
        put(all, hole, all->members[end]);
    }
    all->stale = all->stale || !all->one_network || !all->one_approver;
}

static bool network_of(slice host, int family, size_t kept, unsigned bits, char network[FLEET_NETWORK_SIZE]) {
    char text[INET6_ADDRSTRLEN];
    uint8_t address[16] = {0};
    if (host.length >= sizeof text) {
        return false;
    }
    memcpy(text, host.data, host.length);
    text[host.length] = '\0';
    if (inet_pton(family, text, address) != 1) {
        return false;
    }
    memset(address + kept, 0, sizeof address - kept);
    if (inet_ntop(family, address, text, sizeof text) == NULL) {
        return false;
    }
    snprintf(network, FLEET_NETWORK_SIZE, "%s/%u", text, bits);
    return true;
}

void party_network(const char *peer, char network[FLEET_NETWORK_SIZE]) {
    slice rest = slice_of_text(peer);
    network[0] = '\0';
    size_t colon = slice_find(rest, ':');
    size_t end = slice_find(rest, ']');
    if (rest.length > 0 && rest.data[0] == '[') {
        rest = end == SIZE_MAX ? (slice){0} : slice_part(rest, 1, end - 1);
    } else if (colon != SIZE_MAX && slice_find(slice_after(rest, colon + 1), ':') == SIZE_MAX) {
        rest = slice_part(rest, 0, colon);
    }
    if (slice_starts_with(rest, SLICE_LITERAL("::ffff:"))) { /* IPv4 on a socket for both */
        rest = slice_after(rest, 7);
    }
    if (rest.length == 0 ||
        (!network_of(rest, AF_INET, 3, 24, network) && !network_of(rest, AF_INET6, 6, 48, network))) {
        network[0] = '\0';
    }
}

verify_party party_of_worker(const fleet_worker *worker) {
    verify_party party = {.owner = slice_of_text(worker->owner),
                          .network = slice_of_text(worker->network),
                          .approver = worker->approved_by,
                          .referee = worker->referee};
    memcpy(party.worker, worker->first->id, sizeof party.worker);
    return party;
}

typedef struct asking {
    const proof *proof;
    const party_query *query;
} asking;

/* Exact answers are checked by scoring them, others by answering too. */
static proto_kind needed(const party_query *query) {
    bool exact =
        query->profile != NULL && slice_starts_with(slice_of_text(query->profile), SLICE_LITERAL("exact-"));
    return exact ? PROTO_SCORE : PROTO_GENERATE;
}

static bool has_model(const session *s, const party_query *query) {
    for (size_t i = 0; i < s->model_count; i++) {
        const session_model *m = &s->models[i];
        if (slice_equal(m->name, query->model)) {
            return m->does[needed(query)] &&
                   (query->digest == NULL || memcmp(m->digest, query->digest, sizeof m->digest) == 0) &&
                   (query->profile == NULL || strcmp(m->profile, query->profile) == 0);
        }
    }
    return false;
}

static bool is_excluded(const session *s, const party_query *query) {
    for (size_t i = 0; i < query->excluded_count; i++) {
        const uint8_t *excluded = fleet_first_id(s->pool->fleet, query->excluded[i]);
        if (memcmp(s->worker->first->id, excluded, sizeof s->worker->id) == 0) {
            return true;
        }
    }
    return false;
}

static bool could_check(const proof *f, const session *s, const party_query *query) {
    bool suspect_too = query->judging && (s->worker->referee || query->suspects);
    return s->handle != NULL && !is_excluded(s, query) && has_model(s, query) &&
           (suspect_too ? standings_may_judge(f, s->worker->id) : standings_may_serve(f, s->worker->id));
}

static void get(void *context, size_t index, verify_party *party) {
    const asking *a = context;
    const session *s = a->proof->parties->members[index];
    *party = party_of_worker(s->worker);
    party->able = could_check(a->proof, s, a->query) &&
                  (a->query->busy || dispatch_worker_has_slot(s->handle, a->query->model));
}

session *parties_choose(const proof *f, const party_query *query, verify_choice *choice) {
    parties *all = f->parties;
    asking a = {f, query};
    if (all->stale) {
        compare_all(all);
    }
    const verify_candidates candidates = {.referees = all->referees,
                                          .workers = all->count - all->referees,
                                          .one_network = all->one_network,
                                          .one_approver = all->one_approver,
                                          .get = get,
                                          .context = &a};
    return verify_choose(query->subjects, query->subject_count, &candidates, query->referee_only, query->draw,
                         choice)
               ? all->members[choice->index]
               : NULL;
}

size_t parties_quarantined(const proof *f, slice model, size_t *serving) {
    const party_query query = {.model = model};
    size_t quarantined = 0;
    for (size_t i = 0; i < f->parties->count; i++) {
        const session *s = f->parties->members[i];
        bool counts = s->handle != NULL && (model.length == 0 || has_model(s, &query));
        bool serves = standings_may_serve(f, s->worker->id);
        quarantined += counts && !serves;
        if (serving != NULL) {
            *serving += counts && serves;
        }
    }
    return quarantined;
}

bool parties_have_referee(const proof *f, const party_query *query) {
    for (size_t i = 0; i < f->parties->referees; i++) {
        const session *s = f->parties->members[i];
        bool is_subject = false;
        for (size_t j = 0; j < query->subject_count; j++) {
            is_subject = is_subject || memcmp(query->subjects[j].worker, s->worker->first->id, 16) == 0;
        }
        if (!is_subject && could_check(f, s, query)) {
            return true;
        }
    }
    return false;
}
