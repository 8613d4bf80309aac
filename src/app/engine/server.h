#ifndef APP_ENGINE_SERVER_H
#define APP_ENGINE_SERVER_H

#include "engine/pipe.h"

/* The engine's side of the pipe: takes jobs, computes them all in one pass after another, and answers. It
 * looks for input between passes without waiting while there is work, and sleeps on its input when there is
 * none. */
typedef struct server server;

/* `input` and `output` are descriptors, blocking or not; they stay the caller's. It lives as long as the
 * process. */
MUST_CHECK server *server_new(int input, int output, error *err);

/* Sends one message now, waiting until the reader takes it. */
MUST_CHECK bool server_send(server *s, const pipe_message *message, error *err);
/* Serves until the input ends (true), or the peer breaks the protocol or the output fails (false). */
MUST_CHECK bool server_run(server *s, engine_model *model, uint32_t slots, error *err);

#endif
