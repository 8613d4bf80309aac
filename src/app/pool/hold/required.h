#ifndef POOL_REQUIRED_H
#define POOL_REQUIRED_H

#include "job.h"

/* A question that two workers with different owners answer at once (X-Cellule-Verify: required). What both
 * have said leaves on the clock of release.h; where they differ a third decides (verify/pair.h), and the
 * client gets the right answer, later. Each worker has the question under an id of its own, as a part, and
 * signs its own receipt; receipts of both are stored, and one of them also under the job's id. Lives in the
 * request's arena and ends with the job. */

/* ERROR_UNSUPPORTED: there are no two connected workers with different owners that have the model, the same
 * file with an exact profile. Others as dispatch_submit. */
MUST_CHECK required *required_start(job *j, error *err);
/* The job ends: its parts are cancelled. */
void required_release(required *r);
/* It hasn't got its two workers yet. */
bool required_waits(const required *r);
/* Bytes of a frame; 0 before the first. */
size_t required_frame_size(const required *r);

#endif
