#ifndef APP_ENGINE_VERBS_H
#define APP_ENGINE_VERBS_H

/* What stands behind `cellule engine`. argv[0] is the verb; the exit code is returned, unless the process
 * ends in there: what has entered the sandbox runs no exit handlers, which may want rights that are gone. */
int engine_serve_main(int argc, char **argv);
int engine_info_main(int argc, char **argv);
int engine_run_main(int argc, char **argv);
int engine_bench_main(int argc, char **argv);
int engine_golden_main(int argc, char **argv);

#endif
