#ifndef POOL_POOL_H
#define POOL_POOL_H

/* `cellule pool init` and `cellule pool run`: argv[0] is "pool". Returns the exit code. */
int pool_main(int argc, char **argv);

#endif
