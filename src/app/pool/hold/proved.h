#ifndef POOL_PROVED_H
#define POOL_PROVED_H

#include "job.h"

/* X-Cellule-Verify: proved. The answer is held back, all of it, until another worker has computed it again:
 *
 *   answering ──done──> held ──the check agrees──> storing ──> released, on the clock of release.h
 *       ^                │ └── nobody can say, or not in time: 503, and nothing of it goes out
 *       └── wrong: computed again elsewhere, under another id
 *
 * A stream gets comments meanwhile. Lives in the request's arena and ends with the job. */
MUST_CHECK proved *proved_start(job *j, error *err);
/* The job ends. */
void proved_release(proved *h);
/* The worker is done; NULL: its receipt could not be made. */
void proved_hold(proved *h, const fleet_worker *worker, const signed_receipt *entry);

#endif
