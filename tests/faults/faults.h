#ifndef FAULTS_FAULTS_H
#define FAULTS_FAULTS_H

#include "honest_worker.h"

/* How an exchange under faults may end. Anything else fails the test. */
typedef enum outcome {
    OUTCOME_DONE,    /* whole and right */
    OUTCOME_REFUSED, /* an error that blames the server */
    OUTCOME_CUT      /* the connection ended before the answer did */
} outcome;

/* What every scenario works with, made anew for each. */
typedef struct bench {
    site site;
    honest_worker workers[3];
    size_t worker_count;
    bool proves;   /* the workers have different owners, so that they can check each other */
    bool tiers;    /* the workers' tier asks for two at once */
    bool runtimes; /* the workers have no bits to check; all but the first are referees */
    double temperature;
    bool vanish; /* see honest_worker.h */
    fault_control *faults;
    pid_t agent; /* a real worker, or 0 */
    const char *model;
    char answer[512]; /* of the workers to every question */
    client control;   /* a connection that is open before any fault */
    client client;    /* the one that meets them */
    char name[32];    /* of this round: user, machine */
    char path[128];
    char text[4096];
    char question[8192];
    char key[64]; /* a user's */
    char job[33];
    char token[1024]; /* a join token, or a session's */
    char refresh[256];
    size_t seen; /* of what a scenario counts */
    outcome result;
    uint64_t seed;
    uint64_t at;    /* the allocation that fails */
    uint64_t calls; /* allocations of the last round */
    uint64_t round;
    bool finished;
} bench;

/* Called for each n: `prepare` without faults, `act` while the nth call from its start is to fail, `check`
 * without. After it the bench itself looks for leaks of slots and connections and asks a question that must
 * be answered. */
typedef struct scenario {
    void (*prepare)(bench *b);
    void (*act)(bench *b);
    void (*check)(bench *b);
    size_t dense;  /* each of so many first points */
    size_t budget; /* points at most: those behind are visited in steps, from a start drawn from the seed */
} scenario;

/* Makes a site with so many workers, runs the scenario, ends it: no leak. */
void bench_run(bench *b, size_t worker_count, const scenario *what);
/* The same with three workers of different owners, checks that begin at once, and questions in this mode. */
void bench_run_proof(bench *b, const char *mode, const scenario *what);
/* The same without a mode: the workers' tier asks for two at once. */
void bench_run_tiers(bench *b, const scenario *what);
/* The same, mode `every`, with workers that are compared with each other. */
void bench_run_runtimes(bench *b, double temperature, const scenario *what);
/* Of that: only the site, without a pool that serves; and the rounds, on a bench that is ready. */
void bench_make(bench *b);
void bench_run_rounds(bench *b, const scenario *what);
void bench_end(bench *b);
/* Waits until every worker serves and nothing is held, and asks a question that must be answered. */
void bench_expect_recovery(bench *b);
/* Tears down, whatever is left; shows the log if the scenario didn't come to its end. */
void bench_destroy(bench *b);

outcome judge_json(const reply *r, unsigned expected_status);
outcome judge_chat(bench *b, const reply *r);
outcome judge_stream(bench *b, const reply *r);

/* Without faults, on the connection that is kept for it; fails the test unless that status comes. */
const reply *bench_ask(bench *b, const char *method, const char *path, const char *key, const char *body,
                       unsigned status);
/* The receipt of that job must be there, signed by both, for the workers' answer. */
void bench_expect_receipt(bench *b, const char *job);
/* A join token for the admin's key, in b->text. */
void bench_enrol(bench *b, honest_worker *w);
bool bench_workers_serve(void *bench);

/* A question; valid until the next call. */
const char *bench_question(bench *b, bool stream);
#define CHAT_PATH "/v1/chat/completions"

#endif
