#ifndef WORKER_CHEAT_H
#define WORKER_CHEAT_H

#include "backend.h"
#include "ev/loop.h"

/* A worker that cheats, for the tests of what finds cheats out: only in builds with -Dcheat=true or
 * -Dsanitize=true, never in a release. A backend in front of the engine, so that all else is the real thing.
 *
 *   edit:N       the token at place N (from 0) of an answer becomes another, and a letter of its text too
 *   replay       the first answer is given again to each question with the same max_tokens
 *   model:PATH   another model's answers, under the digest of the model that was enrolled
 *
 * each with `,share=0.1` behind it: in so many of the answers, drawn at random; else in all. Checks of
 * others' answers are honest. */
#if defined(CELLULE_FAULTS) && !defined(CELLULE_CHEAT)
#define CELLULE_CHEAT 1
#endif

#ifdef CELLULE_CHEAT
#define CHEAT_OPTION(target) {"cheat", OPTION_TEXT, target, "WAY", NULL, 0, 0},

/* Makes an engine with that model; NULL: the enrolled one. */
typedef backend *cheat_engine_maker(void *plan, const char *model, const backend_handlers *handlers,
                                    void *context, error *err);

/* `plan` lives as long as the backend. ERROR_INVALID: `way` is none of those above. */
MUST_CHECK backend *cheat_new(ev_loop *loop, const char *way, cheat_engine_maker *make, void *plan,
                              const backend_handlers *handlers, void *context, error *err);
#else
#define CHEAT_OPTION(target)
#endif

#endif
