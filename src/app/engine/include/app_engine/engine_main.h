#ifndef APP_ENGINE_ENGINE_MAIN_H
#define APP_ENGINE_ENGINE_MAIN_H

/* `cellule engine VERB`. `serve` may be left out: `cellule engine --model FILE [--slots N] [--context TOKENS]
 * [--memory MIB] [--check]` maps the model, gives up every right but using the descriptors it has, then
 * serves engine/pipe.h on standard input and output; with --check it only loads the model and prints what it
 * is. `info FILE` says what a file holds, without loading it; `run`, `bench` and `golden` are tools for
 * people.
 *
 * `argv[0]` is "engine". Returns 2 for wrong usage; else the process ends in here: 0 at the end of input, 1
 * after an error, which is told on standard error and, as a PIPE_FAIL for no job, on the pipe. */
int engine_main(int argc, char **argv);

#endif
