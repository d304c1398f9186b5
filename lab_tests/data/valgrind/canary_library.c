/* A library of the canary's engine. */
#include <stdlib.h>

/* 123 bytes, definitely lost. */
void library_loses(void) { *(char *)malloc(123) = 1; }
