#ifndef WORKER_COMMANDS_H
#define WORKER_COMMANDS_H

/* The verbs of `cellule worker`; argv[0] is the verb. Each returns the exit code. */
int worker_join_main(int argc, char **argv);
int worker_run_main(int argc, char **argv);

#endif
