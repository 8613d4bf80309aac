#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

/* `cellule worker join` and `cellule worker run`: argv[0] is "worker". Returns the exit code. */
int worker_main(int argc, char **argv);

#endif
