/* LD_PRELOAD: a new thread begins a moment after whoever made it has been told its handle.
 *
 * Valgrind runs one thread at a time and lets a new one go first. The router's receivers, which end
 * at once when they run before their handle is stored, would then be lost in every start.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

typedef int (*create_function)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

struct start {
  void *(*run)(void *);
  void *argument;
};

static void *begin_late(void *given) {
  const struct start start = *(struct start *)given;
  const struct timespec moment = {.tv_nsec = 20 * 1000 * 1000};
  free(given);
  nanosleep(&moment, NULL);
  return start.run(start.argument);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument) {
  create_function create = (create_function)dlsym(RTLD_NEXT, "pthread_create");
  struct start *start = malloc(sizeof *start);
  if (start == NULL) {
    return create(thread, attributes, run, argument);
  }
  *start = (struct start){run, argument};
  const int error = create(thread, attributes, begin_late, start);
  if (error) {
    free(start);
  }
  return error;
}
