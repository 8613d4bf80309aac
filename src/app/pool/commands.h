#ifndef POOL_COMMANDS_H
#define POOL_COMMANDS_H

/* The verbs of `cellule pool`; argv[0] is the verb. Each returns the exit code. */
int pool_init_main(int argc, char **argv);
int pool_run_main(int argc, char **argv);
int pool_routes_main(int argc, char **argv);
int pool_admin_key_main(int argc, char **argv);
int pool_seal_main(int argc, char **argv);

#endif
