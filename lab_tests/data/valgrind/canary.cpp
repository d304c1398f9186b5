/* canary WAY: what a program does with its memory, in ways that are known to the byte.
 *
 * leaks: loses in the engine, in its library, and in the program itself. clean: nothing is lost.
 * wait: as leaks, and then waits to be ended; SIGINT ends it in order. stuck: SIGINT does nothing.
 * races: two threads add to one number. late: fails unless a thread begins after its maker goes on.
 */
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <pthread.h>
#include <unistd.h>

namespace canary {
void lose_definitely();
void lose_a_list();
void keep_the_middle();
void keep();
void lose_a_copy();
int read_behind();
void race();
}  // namespace canary
extern "C" void library_loses();

static volatile sig_atomic_t ended;

static void end(int number) { ended = number; }

static volatile int going_on;

static void *was_going_on(void *) { return going_on ? const_cast<int *>(&going_on) : nullptr; }

static int is_late() {
  pthread_t thread;
  void *late = nullptr;
  pthread_create(&thread, nullptr, was_going_on, nullptr);
  going_on = 1;
  pthread_join(thread, &late);
  return late == nullptr;
}

static void wash_stack() {
  volatile char stack[4096];
  memset(const_cast<char *>(stack), 0, sizeof stack);
}

int main(int count, char **words) {
  const char *way = count > 1 ? words[1] : "clean";
  if (strcmp(way, "late") == 0) {
    return is_late();
  }
  if (strcmp(way, "races") == 0) {
    canary::race();
    return 0;
  }
  canary::keep();
  if (strcmp(way, "clean") == 0) {
    return 0;
  }
  canary::lose_definitely();
  canary::lose_a_list();
  canary::keep_the_middle();
  canary::lose_a_copy();
  library_loses();
  *static_cast<char *>(malloc(77)) = 1;
  if (canary::read_behind() == 42) {
    puts("never");
  }
  wash_stack();
  if (strcmp(way, "leaks") == 0) {
    return 0;
  }
  signal(SIGINT, strcmp(way, "stuck") == 0 ? SIG_IGN : end);
  signal(SIGTERM, end);
  puts("ready");
  fflush(stdout);
  while (!ended) {
    usleep(10000);
  }
  return 0;
}
