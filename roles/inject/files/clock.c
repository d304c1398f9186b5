/* LD_PRELOAD: the clock of the process that it is loaded into, and of its forks, steps.
 *
 * By how many nanoseconds is in a number that is shared with whoever plants the fault. Times that
 * the kernel itself writes down, such as when a datagram came, are not changed.
 */
#include "shared.h"

#include <dlfcn.h>
#include <time.h>

typedef int (*clock_function)(clockid_t, struct timespec *);

static const int64_t PER_SECOND = 1000LL * 1000 * 1000;

static const volatile int64_t *step_ns;
static clock_function real;

__attribute__((constructor)) static void begin(void) {
  real = (clock_function)dlsym(RTLD_NEXT, "clock_gettime");
  step_ns = shared_numbers("/run/screamlab-inject/clock", 1);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  if (real == NULL) {
    real = (clock_function)dlsym(RTLD_NEXT, "clock_gettime");
  }
  const int error = real(clock, time);
  if (error == 0 && clock == CLOCK_REALTIME && step_ns != NULL) {
    const int64_t ns = time->tv_sec * PER_SECOND + time->tv_nsec + *step_ns;
    time->tv_sec = ns / PER_SECOND;
    time->tv_nsec = ns % PER_SECOND;
  }
  return error;
}
