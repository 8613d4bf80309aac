#ifndef APP_RELEASE_RELEASE_MAIN_H
#define APP_RELEASE_RELEASE_MAIN_H

/* `cellule release`, for those who make releases; argv[0] is the verb. Returns the exit code. */
int release_main(int argc, char **argv);

#endif
