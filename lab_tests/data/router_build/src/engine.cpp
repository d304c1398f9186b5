// An engine of the tests: it says in which function, and at which line, memory is lost.
#include <pybind11/pybind11.h>

#include "answer.h"

__attribute__((noinline)) void lose(std::size_t bytes) {
    volatile char *block = new char[bytes];
    block[0] = 1;
}

PYBIND11_MODULE(engine, m) {
    m.def("lose", &lose);
    m.attr("answer") = ANSWER;
}
