#ifndef APP_ENGINE_ENGINE_MAIN_H
#define APP_ENGINE_ENGINE_MAIN_H

/* `cellule engine --model FILE [--slots N] [--context N] [--memory MIB] [--check]`: maps the model, gives up
 * every right but reading and writing the descriptors it has, then serves engine/pipe.h on standard input and
 * output. With --check it only loads the model and prints what it is. `argv[0]` is the verb. Returns the exit
 * status: 0 at the end of input, 1 after an error (told on standard error and in a PIPE_FAIL), 2 for usage.
 */
int engine_main(int argc, char **argv);

#endif
