/* LD_PRELOAD: takes more and more of the resources of the process that it is loaded into.
 *
 * How much in a second, in thousandths, is in numbers that are shared with whoever plants the fault.
 */
#include "shared.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

/* In the order of screamlab/inject/preload.py. */
enum { MEMORY, DESCRIPTORS, THREADS, PROCESSOR, LOG, RESOURCES };

static const int64_t TICK_NS = 100 * 1000 * 1000;
static const int64_t PER_SECOND = 1000LL * 1000 * 1000;
static const size_t STACK_BYTES = 64 * 1024;

static const volatile int64_t *wanted;
/* A compiler that sees memory used by nobody does not take it. */
static void *volatile newest;

static int64_t now_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec * PER_SECOND + now.tv_nsec;
}

static void *wait_forever(void *unused) {
  for (;;) {
    pause();
  }
  return unused;
}

static void take_memory(int64_t bytes) {
  void *taken = malloc((size_t)bytes);
  if (taken != NULL) {
    memset(taken, 1, (size_t)bytes);
  }
  newest = taken;
}

static void take_thread(void) {
  pthread_t thread;
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, STACK_BYTES);
  pthread_create(&thread, &small, wait_forever, NULL);
  pthread_attr_destroy(&small);
}

static void take_processor(int64_t ns) {
  const int64_t end = now_ns(CLOCK_THREAD_CPUTIME_ID) + ns;
  while (now_ns(CLOCK_THREAD_CPUTIME_ID) < end) {
  }
}

static void *take(void *unused) {
  int64_t owed[RESOURCES] = {0};
  const struct timespec tick = {.tv_nsec = TICK_NS};
  int64_t before = now_ns(CLOCK_MONOTONIC);
  /* What it costs must not cost others their time: in Linux a thread has a niceness of its own. */
  setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19);
  for (;;) {
    nanosleep(&tick, NULL);
    const int64_t now = now_ns(CLOCK_MONOTONIC);
    for (int resource = 0; resource < RESOURCES; resource++) {
      owed[resource] += wanted[resource] * ((now - before) / 1000) / (PER_SECOND / 1000);
    }
    before = now;
    if (owed[MEMORY] >= 1000) {
      take_memory(owed[MEMORY] / 1000);
      owed[MEMORY] %= 1000;
    }
    for (; owed[DESCRIPTORS] >= 1000; owed[DESCRIPTORS] -= 1000) {
      (void)!open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    for (; owed[THREADS] >= 1000; owed[THREADS] -= 1000) {
      take_thread();
    }
    take_processor(owed[PROCESSOR] * (PER_SECOND / 1000));
    owed[PROCESSOR] = 0;
    /* sd-daemon(3): an error. */
    for (; owed[LOG] >= 1000; owed[LOG] -= 1000) {
      fputs("<3>a planted error\n", stderr);
    }
  }
  return unused;
}

__attribute__((constructor)) static void begin(void) {
  pthread_t thread;
  wanted = shared_numbers("/run/screamlab-inject/resources", RESOURCES);
  if (wanted != NULL) {
    pthread_create(&thread, NULL, take, NULL);
  }
}
