#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

/* `cellule admin …`: argv[0] is "admin". Returns the exit code. */
int admin_main(int argc, char **argv);

#endif
