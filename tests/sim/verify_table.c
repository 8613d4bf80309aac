#include "base/memory.h"
#include "verify_site.h"

#include <math.h>
#include <stdlib.h>

/* The table, and the bars. A way is judged by those cheats that had time enough to be found out as late as
 * theory allows, wherever they began; what came of them plays no part in that. */

enum { SPELLS_LIMIT = 1 << 20, JUDGED_FROM = 20 };

void spells_add(spells *s, const spell *one) {
    if (s->count == s->capacity) {
        size_t capacity = s->capacity == 0 ? 256 : s->capacity * 2;
        spell *all = capacity > SPELLS_LIMIT ? NULL : memory_resize(s->all, capacity * sizeof *all);
        if (all == NULL) {
            fputs("the simulation is out of memory\n", stderr);
            exit(1);
        }
        s->all = all;
        s->capacity = capacity;
    }
    s->all[s->count++] = *one;
}

typedef struct row {
    const way *way;
    size_t count, stopped, late;
    double mean, wrong;
    uint64_t p95;
    double bar; /* 0: none */
} row;

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Answers that one machine gives while a check waits, is done, and is judged. */
static double meanwhile(const way *w) {
    return (double)w->weight * (DELAY_MS + 4000) / ANSWER_GAP_MS;
}

/* p95 of a geometric distribution is 3/(s·c): s the share of answers checked, c of those that are wrong.
 * Friends among the verifiers lower s: two checks of three go to workers, of whom they are a part. */
static double bar_of(const plan *p, const way *w) {
    const standing_rules rules = standing_rules_default();
    if (w->measure == MEASURE_CHECKS) {
        return w->refuses + w->late + w->leaves > 0 ? rules.evasion_limit + SLOTS : 3 / way_rate(w) + SLOTS;
    }
    double share = p->mode == VERIFY_SPOT ? rules.floor : 1;
    double seen = 1 - 2.0 / 3 * w->friends / (p->seats - 1);
    double bar = 3 / (share * way_rate(w) * seen) + meanwhile(w);
    return p->exact ? bar : way_rate(w) >= 0.1 ? 5 * bar : 0;
}

static row row_of(const plan *p, const way *w, const spells *s) {
    row r = {.way = w, .bar = p->unjudged ? 0 : bar_of(p, w)};
    uint64_t *lengths = memory_allocate((s->count + 1) * sizeof *lengths);
    if (lengths == NULL) {
        fputs("the simulation is out of memory\n", stderr);
        exit(1);
    }
    for (size_t i = 0; i < s->count; i++) {
        const spell *one = &s->all[i];
        if (one->way == w && one->measured) {
            lengths[r.count++] = one->length;
            r.mean += (double)one->length;
            r.wrong += (double)one->wrong;
            r.stopped += one->ending != STILL_THERE;
            r.late += (double)one->length > r.bar;
        }
    }
    if (r.count > 0) {
        qsort(lengths, r.count, sizeof *lengths, compare);
        r.p95 = lengths[(r.count * 95 + 99) / 100 - 1];
        r.mean /= (double)r.count;
        r.wrong /= (double)r.count;
    }
    memory_free(lengths);
    return r;
}

/* One in twenty may be later than the bar. So many cheats say it to within three standard deviations. */
static bool row_holds(const row *r) {
    double n = (double)r->count;
    return r->bar == 0 || r->count < JUDGED_FROM || (double)r->late <= 0.05 * n + 3 * sqrt(0.05 * 0.95 * n);
}

static bool print_rows(FILE *out, const plan *p, const spells *s) {
    bool good = true;
    fputs("| way of cheating | wrong | cheats | stopped | mean | p95 | bar | wrong answers each |\n"
          "|---|---|---|---|---|---|---|---|\n",
          out);
    for (size_t i = 0; i < way_count; i++) {
        const way *w = &ways[i];
        row r = row_of(p, w, s);
        if (r.count == 0) {
            continue;
        }
        bool holds = row_holds(&r);
        good = good && holds;
        fprintf(out, "| %s | %g %% of %s | %zu | %.0f %% | %.0f | %llu |", w->name, 100 * way_rate(w),
                w->measure == MEASURE_ANSWERS ? "answers" : "checks", r.count,
                100 * (double)r.stopped / (double)r.count, r.mean, (unsigned long long)r.p95);
        if (r.bar > 0) {
            fprintf(out, " %.0f |", r.bar);
        } else {
            fputs(" |", out);
        }
        fprintf(out, " %.1f |%s\n", r.wrong, holds ? "" : " NOT HELD");
    }
    return good;
}

static double percent(uint64_t part, uint64_t whole) {
    return whole == 0 ? 0 : 100 * (double)part / (double)whole;
}

static unsigned long long number(uint64_t value) {
    return value;
}

bool table_print(FILE *out, const plan *p, const spells *s, const totals *t) {
    uint64_t allowed = p->exact ? 0 : t->answers / 1000000;
    bool good = print_rows(out, p, s);
    fprintf(
        out,
        "\n%llu answers, %.2f %% checked (of workers in regular standing %.2f %%); honest workers convicted: "
        "%llu, put out of "
        "service: %llu (bar: %llu); prompts shown to the guilty after conviction: %llu (bar: 0)\n"
        "%llu wrong answers went out, %.1f %% of them from workers convicted later; their users were told of "
        "%.0f %% of those\n"
        "%llu disputes, %llu left to a human, %llu checks given up, %llu verifiers not fully independent\n",
        number(t->answers), percent(t->checks, t->answers), percent(t->checks_of_regular, t->regular_answers),
        number(t->false_convictions), number(t->false_holds), number(allowed), number(t->shown_after),
        number(t->wrong), percent(t->wrong_of_convicted, t->wrong), percent(t->told, t->wrong_of_convicted),
        number(t->disputes), number(t->open), number(t->given_up), number(t->weak));
    return good && t->false_convictions == 0 && t->false_holds <= allowed && t->shown_after == 0;
}
