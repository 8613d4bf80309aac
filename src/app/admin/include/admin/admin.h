#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

/* `cellule admin …`: argv[0] is "admin". Returns the exit code. */
int admin_main(int argc, char **argv);
/* `cellule key …`, `memory …`, `conversation …` and `privacy …`: what is one's own. */
int key_main(int argc, char **argv);
int memory_main(int argc, char **argv);
int conversation_main(int argc, char **argv);
int privacy_main(int argc, char **argv);

#endif
