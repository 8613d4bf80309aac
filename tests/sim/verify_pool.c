#include "verify/draw.h"
#include "verify_site.h"

#include <string.h>

/* The pool's side: every decision is a function of domain/verify; here is only what the pool does with it. */

enum event_kind { CHECK_STARTS, CHECK_ENDS, CHECK_IS_OVERDUE, JUDGE_STARTS, JUDGE_ENDS };

static bool is_honest(const worker *w) {
    return w->way == NULL && w->ring == 0;
}

static void move_standing(site *s, uint32_t index, standing_event event, double score) {
    worker *w = &s->workers[index];
    error err = {0};
    if (!standing_move(&w->standing, &s->rules, event, score, s->sim.now, &err)) {
        site_broken(s, __FILE__, __LINE__, err.text);
    }
    if (w->standing.state == STANDING_CONVICTED && w->ending != ENDED_CONVICTED) {
        s->totals.false_convictions += is_honest(w);
        w->ending = ENDED_CONVICTED;
    }
    if (w->standing.held && w->ending == STILL_THERE) {
        s->totals.false_holds += is_honest(w);
        seat_empty(s, index, ENDED_HELD);
    }
}

static void move(site *s, check *c, verification_event event) {
    error err = {0};
    if (!verification_move(&c->state, event, &err)) {
        site_broken(s, __FILE__, __LINE__, err.text);
    }
}

static double draw(site *s, const char *label, uint64_t number, const uint8_t commitment[32]) {
    uint8_t job[VERIFY_JOB_SIZE] = {0};
    double drawn = 0;
    error err = {0};
    memcpy(job, &number, sizeof number);
    if (!verify_draw(s->secret, label, job, commitment, &drawn, &err)) {
        site_broken(s, __FILE__, __LINE__, err.text);
    }
    return drawn;
}

static size_t place_of(const site *s, const check *c) {
    return (size_t)(c - s->checks);
}

static void schedule(site *s, const check *c, unsigned kind, uint64_t after) {
    sim_schedule(&s->sim, s->sim.now + after,
                 (sim_event){.kind = kind, .object = place_of(s, c), .a = c->number});
}

/* --- checks --- */

static void begin_check(site *s, uint32_t index, const claim *of, bool again) {
    SITE_REQUIRE(s, s->free_count > 0);
    check *c = &s->checks[s->free_checks[--s->free_count]];
    *c = (check){.used = true,
                 .again = again,
                 .state.state = again ? VERIFICATION_KEPT : VERIFICATION_WAITING,
                 .number = ++s->numbers,
                 .worker = index,
                 .verifier = NOBODY,
                 .judge = NOBODY,
                 .claim = *of};
    if (again) {
        move(s, c, VERIFICATION_DRAWN);
    }
    s->totals.checks++;
    double delay = draw(s, VERIFY_DRAW_DELAY, of->job, of->commitment);
    schedule(s, c, CHECK_STARTS, (uint64_t)(delay * DELAY_MS));
}

static void end_check(site *s, check *c) {
    c->used = false;
    s->free_checks[s->free_count++] = (uint32_t)place_of(s, c);
}

static verify_party party_of(const site *s, const worker *w) {
    bool may = s->judging && w->referee ? standing_may_judge(&w->standing) : standing_may_serve(&w->standing);
    verify_party p = {.owner = slice_of_text(w->owner),
                      .network = slice_of_text(w->network),
                      .approver = w->approver,
                      .site = slice_of_text(w->site),
                      .referee = w->referee,
                      .able = may && w->busy < SLOTS};
    memcpy(p.worker, w->id, sizeof p.worker);
    return p;
}

static uint32_t candidate(const site *s, size_t index) {
    return index < s->plan->referees ? (uint32_t)index : s->seats[index - s->plan->referees];
}

static void get_candidate(void *context, size_t index, verify_party *party) {
    const site *s = context;
    *party = party_of(s, &s->workers[candidate(s, index)]);
}

/* NOBODY: nobody fits now. */
static uint32_t choose(site *s, const uint32_t *subjects, size_t count, bool referee_only, double drawn) {
    verify_party parties[2 + VERIFICATION_REFEREES_MAX];
    for (size_t i = 0; i < count; i++) {
        parties[i] = party_of(s, &s->workers[subjects[i]]);
    }
    const verify_candidates all = {.referees = s->plan->referees,
                                   .workers = s->plan->seats,
                                   .several_sites = true,
                                   .get = get_candidate,
                                   .context = s};
    verify_choice chosen;
    if (!verify_choose(parties, count, &all, referee_only, drawn, &chosen)) {
        return NOBODY;
    }
    s->totals.weak += chosen.independence != VERIFY_FULL;
    return candidate(s, chosen.index);
}

/* The job goes out: whoever gets it sees the prompt. */
static void give(site *s, uint32_t index) {
    worker *w = &s->workers[index];
    w->busy++;
    w->given++;
    w->shown_after += w->ending == ENDED_CONVICTED;
    w->counted += w->way != NULL && w->way->measure == MEASURE_CHECKS && w->ending == STILL_THERE;
}

/* There are two to ask as well. */
static bool wants_referees(const site *s) {
    return !s->plan->exact && s->plan->referees > 1 && learning_wants_referees(&s->calibration);
}

static void start_check(site *s, check *c) {
    double drawn = draw(s, VERIFY_DRAW_VERIFIER, c->number << 8 | c->state.attempts, c->claim.commitment);
    c->verifier = choose(s, &c->worker, 1, wants_referees(s), drawn);
    if (c->verifier == NOBODY) {
        schedule(s, c, CHECK_STARTS, RETRY_MS);
        return;
    }
    move(s, c, VERIFICATION_ASSIGNED);
    give(s, c->verifier);
    conduct how = worker_conduct(s, &s->workers[c->verifier]);
    uint64_t takes = sim_between(&s->sim, 200, 2000);
    schedule(s, c, how == DOES_IT ? CHECK_ENDS : CHECK_IS_OVERDUE, how == IS_LATE ? DEADLINE_MS : takes);
}

static void verifier_lost(site *s, check *c, bool evaded) {
    uint32_t verifier = c->verifier;
    s->workers[verifier].busy--;
    c->verifier = NOBODY;
    move(s, c, VERIFICATION_LOST);
    if (evaded) {
        move_standing(s, verifier, STANDING_EVADED, 0);
    }
    if (verification_is_over(&c->state)) {
        s->totals.given_up++;
        end_check(s, c);
    } else {
        start_check(s, c);
    }
}

/* --- disputes --- */

static void tell_user(site *s, const check *c) {
    s->workers[c->worker].told += c->claim.wrong;
}

/* The session is closed, its jobs go elsewhere, its last answers are checked. */
static void convict(site *s, uint32_t index) {
    worker *w = &s->workers[index];
    bool first = w->standing.state != STANDING_CONVICTED;
    move_standing(s, index, STANDING_WAS_CONVICTED, 0);
    if (!first) {
        return;
    }
    for (size_t i = 0; i < CHECKS_MAX; i++) {
        check *c = &s->checks[i];
        if (c->used && c->state.state == VERIFICATION_RUNNING && c->verifier == index) {
            c->number = ++s->numbers; /* what it may still say is about a job it no longer holds */
            verifier_lost(s, c, false);
        }
    }
    for (uint32_t i = 0; i < w->kept_count; i++) {
        begin_check(s, index, &w->kept[i], true);
    }
    w->kept_count = 0;
    seat_empty(s, index, ENDED_CONVICTED);
}

/* A referee that is no party to it, even if it has to be waited for. */
static bool has_referee(const site *s, const uint32_t *subjects, size_t count) {
    for (uint32_t i = 0; i < s->plan->referees; i++) {
        bool is_party = !standing_may_judge(&s->workers[i].standing);
        for (size_t k = 0; k < count; k++) {
            is_party = is_party || subjects[k] == i;
        }
        if (!is_party) {
            return true;
        }
    }
    return false;
}

static verify_bench bench_of(const site *s, const check *c) {
    return (verify_bench){.site_has_referees = s->plan->referees > 0,
                          .worker_is_referee = s->workers[c->worker].referee,
                          .verifier_is_referee = s->workers[c->verifier].referee};
}

/* Both stay out until a human decides. */
static void leave_to_human(site *s, check *c) {
    s->totals.open++;
    s->totals.false_holds += is_honest(&s->workers[c->worker]) || is_honest(&s->workers[c->verifier]);
    seat_empty(s, c->worker, ENDED_HELD);
    seat_empty(s, c->verifier, ENDED_HELD);
    end_check(s, c);
}

/* Where there is no referee, a third worker if it could decide anything. */
static void start_judging(site *s, check *c) {
    uint32_t subjects[2 + VERIFICATION_REFEREES_MAX] = {c->worker, c->verifier};
    for (uint32_t i = 0; i < c->state.referees; i++) {
        subjects[2 + i] = c->judges[i];
    }
    size_t count = 2 + c->state.referees;
    uint64_t number = c->number << 8 | 128 | c->state.referees << 4 | c->state.attempts;
    bool referee_there = has_referee(s, subjects, count);
    const verify_bench bench = bench_of(s, c);
    if (!referee_there && !verify_worker_may_judge(&bench)) {
        move(s, c, VERIFICATION_EXPIRED);
        leave_to_human(s, c);
        return;
    }
    s->judging = true;
    c->judge =
        choose(s, subjects, count, referee_there, draw(s, VERIFY_DRAW_VERIFIER, number, c->claim.commitment));
    s->judging = false;
    if (c->judge == NOBODY) {
        schedule(s, c, JUDGE_STARTS, RETRY_MS);
        return;
    }
    move(s, c, VERIFICATION_REFEREE_ASSIGNED);
    give(s, c->judge);
    schedule(s, c, JUDGE_ENDS, sim_between(&s->sim, 200, 2000));
}

static void absolve(site *s, const check *c, uint32_t index) {
    if (!c->quiet) {
        move_standing(s, index, STANDING_ABSOLVED, 0);
    }
}

static void end_judging(site *s, check *c) {
    worker *judge = &s->workers[c->judge];
    const worker *claimant = &s->workers[c->worker];
    verify_finding found = worker_finds(s, judge, claimant, &c->claim);
    const verify_claim said = claim_said(&c->claim);
    judge->busy--;
    c->judges[c->state.referees] = c->judge;
    move_standing(s, c->judge, STANDING_VERIFIED, 0);
    verify_verdict verdict = verify_judge(&said, &c->finding, &found);
    if (!judge->referee) {
        const verify_bench bench = bench_of(s, c);
        verdict = verify_verdict_of_worker(verdict, &bench);
    }
    switch (verdict) {
    case VERDICT_WORKER_WRONG:
        move(s, c, VERIFICATION_REFEREE_FOR_VERIFIER);
        tell_user(s, c);
        absolve(s, c, c->verifier);
        convict(s, c->worker);
        break;
    case VERDICT_VERIFIER_WRONG:
        move(s, c, VERIFICATION_REFEREE_FOR_WORKER);
        absolve(s, c, c->worker);
        convict(s, c->verifier);
        break;
    case VERDICT_NEITHER:
        move(s, c, VERIFICATION_REFEREE_FOR_NEITHER);
        if (c->state.state == VERIFICATION_DISPUTED) {
            start_judging(s, c);
            return;
        }
        leave_to_human(s, c);
        return;
    }
    end_check(s, c);
}

static void dispute(site *s, check *c) {
    s->totals.disputes++;
    move(s, c, VERIFICATION_DIFFERED);
    c->quiet = s->workers[c->worker].standing.state == STANDING_CONVICTED;
    if (!c->quiet) {
        move_standing(s, c->worker, STANDING_DISPUTED, 0);
        move_standing(s, c->verifier, STANDING_DISPUTED, 0);
    }
    start_judging(s, c);
}

/* --- results --- */

static void end_exact(site *s, check *c) {
    c->finding = worker_finds(s, &s->workers[c->verifier], &s->workers[c->worker], &c->claim);
    const verify_claim said = claim_said(&c->claim);
    if (verify_compare(&said, &c->finding) == VERIFY_DIFFERS) {
        dispute(s, c);
        return;
    }
    move(s, c, VERIFICATION_HAS_AGREED);
    move_standing(s, c->worker, STANDING_AGREED, 0);
    end_check(s, c);
}

static void learn(site *s, uint32_t first, uint32_t second, double likeness) {
    const worker *a = &s->workers[first];
    const worker *b = &s->workers[second];
    const learning_party parties[] = {{&a->standing, slice_of_text(a->owner), a->referee},
                                      {&b->standing, slice_of_text(b->owner), b->referee}};
    learning_lesson lesson = learning_of_pair(&s->calibration, &s->rules, &parties[0], &parties[1]);
    learning_take(&s->calibration, lesson, likeness);
}

/* Who has time is asked at once. NOBODY: nobody has. */
static uint32_t ask_third(site *s, const check *c, bool referee_only, spoken *said) {
    const uint32_t both[] = {c->worker, c->verifier};
    uint32_t third = choose(s, both, 2, referee_only,
                            draw(s, VERIFY_DRAW_VERIFIER, c->number << 8 | 128, c->claim.commitment));
    if (third != NOBODY) {
        give(s, third);
        s->workers[third].busy--;
        *said = worker_is_asked_again(s, &s->workers[third], &c->claim);
    }
    return third;
}

static void end_statistical(site *s, check *c) {
    const spoken claimed = worker_speaks(s, &s->workers[c->worker], &c->claim, c->claim.wrong);
    const spoken other = worker_is_asked_again(s, &s->workers[c->verifier], &c->claim);
    spoken said = {0};
    double likeness = spoken_likeness(&c->claim, &claimed, &other);
    double ratio = agreement_ratio(&s->calibration, likeness);
    bool teaches = wants_referees(s) && s->workers[c->verifier].referee;
    uint32_t third = ratio > 0 || teaches ? ask_third(s, c, teaches, &said) : NOBODY;
    if (third != NOBODY) {
        double of_others = spoken_likeness(&c->claim, &said, &other);
        ratio = agreement_ratio_of_three(&s->calibration, likeness,
                                         spoken_likeness(&c->claim, &said, &claimed), of_others);
        if (teaches) {
            learn(s, c->verifier, third, of_others);
        }
    }
    learn(s, c->worker, c->verifier, likeness);
    move(s, c, VERIFICATION_HAS_AGREED);
    move_standing(s, c->worker, STANDING_DEVIATED, ratio);
    end_check(s, c);
}

static void finish_check(site *s, check *c) {
    if (!standing_may_serve(&s->workers[c->verifier].standing)) { /* its word counts no more */
        verifier_lost(s, c, false);
        return;
    }
    s->workers[c->verifier].busy--;
    move_standing(s, c->verifier, STANDING_VERIFIED, 0);
    if (s->plan->exact) {
        end_exact(s, c);
    } else {
        end_statistical(s, c);
    }
}

void pool_event(site *s, const sim_event *event) {
    check *c = &s->checks[event->object];
    if (!c->used || c->number != event->a) { /* about a check that is over, or that another has now */
        return;
    }
    switch (event->kind) {
    case CHECK_STARTS:
        start_check(s, c);
        break;
    case CHECK_ENDS:
        finish_check(s, c);
        break;
    case CHECK_IS_OVERDUE:
        verifier_lost(s, c, true);
        break;
    case JUDGE_STARTS:
        start_judging(s, c);
        break;
    default:
        end_judging(s, c);
        break;
    }
}

/* --- answers --- */

static void keep(worker *w, const claim *c) {
    w->kept[w->kept_next] = *c;
    w->kept_next = (w->kept_next + 1) % KEPT;
    w->kept_count += w->kept_count < KEPT;
}

static uint32_t choose_worker(site *s) {
    for (size_t tries = 0; tries < 100000; tries++) {
        uint32_t index = s->seats[s->tickets[sim_random(&s->sim, s->ticket_count)]];
        if (standing_may_serve(&s->workers[index].standing)) {
            return index;
        }
    }
    site_broken(s, __FILE__, __LINE__, "no worker is left");
}

static void account_for(site *s, worker *w, const claim *c) {
    s->totals.answers++;
    s->totals.honest_answers += w->way == NULL;
    w->wrong += c->wrong;
    w->shown_after += w->ending == ENDED_CONVICTED;
    w->counted += w->way != NULL && w->way->measure == MEASURE_ANSWERS && w->answers > w->way->sleep;
}

void pool_answers(site *s) {
    uint32_t index = choose_worker(s);
    worker *w = &s->workers[index];
    claim c = worker_answers(s, w);
    double rate = standing_rate(&w->standing, &s->rules, s->plan->mode);
    bool regular = w->standing.state == STANDING_REGULAR;
    account_for(s, w, &c);
    move_standing(s, index, STANDING_ANSWERED, 0);
    bool checked = draw(s, VERIFY_DRAW_CHECK, c.job, c.commitment) < rate;
    s->totals.regular_answers += regular;
    s->totals.checks_of_regular += regular && checked;
    if (checked) {
        begin_check(s, index, &c, false);
    } else {
        keep(w, &c);
    }
}
