#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

/* `cellule ask`, `login`, `logout` and `verify`: argv[0] is the verb. Each returns the exit code. */
int ask_main(int argc, char **argv);
int login_main(int argc, char **argv);
int logout_main(int argc, char **argv);
int verify_main(int argc, char **argv);

#endif
