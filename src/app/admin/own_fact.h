#ifndef ADMIN_OWN_FACT_H
#define ADMIN_OWN_FACT_H

/* `cellule memory fact …`: argv[0] is "fact". Returns the exit code. */
int own_fact_main(int argc, char **argv);

#endif
