/* The engine of the canary: each function loses, or keeps, a known number of bytes. */
#include <cstdlib>
#include <cstring>
#include <pthread.h>

namespace canary {

struct node {
  node *next;
  char load[56];
};

char *canary_interior;
void *canary_kept;

/* Two blocks of 1000 bytes, definitely lost. */
void lose_definitely() {
  for (int i = 0; i < 2; i++) {
    memset(malloc(1000), i, 1000);
  }
}

static void push(node *&list) {
  list = new node{list, {}};
}

/* A list of five nodes of 64 bytes: one definitely lost, four indirectly. */
void lose_a_list() {
  node *list = nullptr;
  for (int i = 0; i < 5; i++) {
    push(list);
  }
}

/* 500 bytes of which only the middle is known: possibly lost. */
void keep_the_middle() { canary_interior = static_cast<char *>(malloc(500)) + 250; }

/* 300 bytes that are still reachable. */
void keep() { canary_kept = malloc(300); }

/* Six bytes, allocated by the C library on the engine's behalf. */
void lose_a_copy() {
  char *copy = strdup("lost!");
  copy[0] = 'L';
}

/* Reads one int behind a block of 16 bytes. */
int read_behind() {
  int *block = static_cast<int *>(calloc(4, sizeof *block));
  int behind = block[4];
  free(block);
  return behind;
}

int raced;

static void *add(void *) {
  raced++;
  return nullptr;
}

/* Two threads add to one number without a lock. */
void race() {
  pthread_t threads[2];
  for (pthread_t &thread : threads) {
    pthread_create(&thread, nullptr, add, nullptr);
  }
  for (pthread_t &thread : threads) {
    pthread_join(thread, nullptr);
  }
}

}  // namespace canary
