#ifndef BENCH_SITE_H
#define BENCH_SITE_H

#include "ledger/receipt.h"
#include "state.h"

/* A pool that decides, chooses and stores as the real one, without network: its workers have sessions that
 * nothing is sent over. */
typedef struct bench_site {
    pool pool;
    site_verify_keys keys;
    struct session *sessions;
    size_t count;
    uint64_t user;
    error failure; /* of the store, while it is filled */
} bench_site;

enum { BENCH_REFEREES = 4 };

/* `path`: of a database that doesn't exist yet. The first BENCH_REFEREES workers are referees; half of all
 * are busy, and `approvers` admins have approved them. All are in regular standing. */
MUST_CHECK bool bench_site_open(bench_site *b, const char *path, size_t workers, size_t approvers,
                                error *err);
void bench_site_close(bench_site *b);

/* The fields that all receipts have which a worker of the site makes, and its key (the caller frees). */
MUST_CHECK bool bench_site_receipt(const bench_site *b, size_t worker, receipt *fields, error *err);
sign_key *bench_site_key(size_t worker, error *err);
const fleet_worker *bench_site_worker(const bench_site *b, size_t worker);
slice bench_site_model(void);

#endif
