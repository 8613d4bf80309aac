#include "verify_site.h"

#include <string.h>

enum { OWNERS = 140, NETWORKS = 30, APPROVERS = 4, CHEATS_PERCENT = 20, WEIGHT_MAX = 4 };

static worker *enrol(site *s, uint32_t seat, const way *how, uint32_t ring) {
    SITE_REQUIRE(s, s->worker_count < s->worker_limit);
    uint32_t index = s->worker_count++;
    worker *w = &s->workers[index];
    *w = (worker){.seat = seat, .way = how, .ring = ring};
    memcpy(w->id, &index, sizeof index);
    w->id[15] = 1;
    /* Colluding workers have nothing in common that the pool could see: the worst case. */
    uint64_t owner = ring != 0 || how != NULL ? OWNERS + index : sim_random(&s->sim, OWNERS);
    snprintf(w->owner, sizeof w->owner, "o%u", (unsigned)owner);
    snprintf(w->network, sizeof w->network, "10.0.%u.0/24", (unsigned)sim_random(&s->sim, NETWORKS));
    w->approver = 1 + sim_random(&s->sim, APPROVERS);
    w->site = sim_chance(&s->sim, 500) ? "north" : "south";
    w->flaky = how == NULL && sim_chance(&s->sim, 50);
    if (seat != NOBODY) {
        s->seats[seat] = index;
    }
    return w;
}

static bool fits_plan(const plan *p, const way *w) {
    return p->exact || (!w->idle && w->accuses == 0 && w->friends == 0 && w->deed != DEED_CACHED &&
                        w->deed != DEED_COPIED);
}

/* Answers that its machine will be given until the end, if nothing happens to it. */
static double answers_left(const site *s, const worker *w) {
    double left = (double)(s->plan->answers - s->totals.answers);
    return left * w->way->weight / s->ticket_count;
}

/* Were it found out as late as theory allows, would that be before the end? */
static bool has_room(const site *s, const worker *w) {
    double longest = 3 / way_rate(w->way);
    if (w->way->measure == MEASURE_CHECKS) {
        /* Two of three checks are workers', each of whom gets as many as any other. */
        double checks = (double)(s->plan->answers - s->totals.answers) * s->rules.floor * 2 / 3;
        return checks / s->plan->seats > longest + s->rules.evasion_limit;
    }
    double share = s->plan->mode == VERIFY_SPOT ? s->rules.floor : 1;
    double factor = s->plan->exact ? 1.3 : 3;
    return answers_left(s, w) > w->way->sleep + factor * longest / share;
}

static void add_tickets(site *s, uint32_t seat, uint32_t weight) {
    for (uint32_t i = 0; i < weight; i++) {
        SITE_REQUIRE(s, s->ticket_count < TICKETS_MAX);
        s->tickets[s->ticket_count++] = seat;
    }
}

/* The ways in a row, each as often as it has seats. */
static const way *way_in_row(const plan *p, size_t place) {
    size_t length = 0;
    for (size_t i = 0; i < way_count; i++) {
        length += fits_plan(p, &ways[i]) ? ways[i].seats : 0;
    }
    place %= length;
    const way *how = ways;
    for (; !fits_plan(p, how) || place >= how->seats; how++) {
        place -= fits_plan(p, how) ? how->seats : 0;
    }
    return how;
}

/* Each seed begins elsewhere in the row. */
static uint32_t fill_with_cheats(site *s, uint32_t limit) {
    uint32_t seat = 0;
    uint32_t rings = 0;
    for (size_t place = (size_t)s->seed * limit; seat < limit; place++) {
        const way *how = way_in_row(s->plan, place);
        if (seat + how->friends >= limit) {
            continue;
        }
        uint32_t ring = how->friends > 0 ? ++rings : 0;
        enrol(s, seat, how, ring);
        add_tickets(s, seat++, how->weight);
        for (unsigned i = 0; i < how->friends; i++) {
            enrol(s, seat, NULL, ring)->flaky = false;
            add_tickets(s, seat++, 1);
        }
    }
    return seat;
}

void seats_fill(site *s) {
    for (uint32_t i = 0; i < s->plan->referees; i++) {
        worker *w = enrol(s, NOBODY, NULL, 0);
        w->referee = true;
        w->flaky = false;
        snprintf(w->owner, sizeof w->owner, "it");
    }
    uint32_t seat = fill_with_cheats(s, s->plan->seats * CHEATS_PERCENT / 100);
    for (; seat < s->plan->seats; seat++) {
        enrol(s, seat, NULL, 0);
        add_tickets(s, seat, (uint32_t)sim_between(&s->sim, 1, 2));
    }
    for (uint32_t i = 0; i < s->worker_count; i++) {
        s->workers[i].measured = s->workers[i].way != NULL && has_room(s, &s->workers[i]);
    }
}

static void close_account(site *s, const worker *w) {
    s->totals.shown_after += w->shown_after;
    if (w->way == NULL) {
        return;
    }
    s->totals.wrong += w->wrong;
    s->totals.told += w->told;
    s->totals.wrong_of_convicted += w->ending == ENDED_CONVICTED ? w->wrong : 0;
    spells_add(s->spells, &(spell){w->way, w->counted, w->wrong, w->ending, w->measured});
}

void seat_empty(site *s, uint32_t index, ending how) {
    worker *w = &s->workers[index];
    if (w->ending == STILL_THERE) {
        w->ending = how;
    }
    if (w->seat == NOBODY || s->seats[w->seat] != index || w->way == NULL ||
        ++s->enrolments[w->seat] >= ENROLMENTS) {
        return;
    }
    worker *new = enrol(s, w->seat, w->way, w->ring);
    new->measured = has_room(s, new);
}

void seats_close(site *s) {
    for (uint32_t i = 0; i < s->worker_count; i++) {
        close_account(s, &s->workers[i]);
    }
}
