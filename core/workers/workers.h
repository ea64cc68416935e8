// Who does the work: this thread alone, kernel threads, or processes.
#pragma once

#include <functional>

#include "core/server.h"

namespace bakeoff {

// Each worker's body serves until the server is asked to end.
using WorkerBody = std::function<void(Worker& worker, int number)>;

// Runs `body` on the calling thread, as worker 0. It must return when Server::stop_fd becomes readable.
void run_alone(Server& server, const WorkerBody& body);

// Begins one kernel thread more that runs `body` as worker `number`; when the body returns the thread ends, and its number
// may be used again. `body` must live as long. Throws StartError.
void start_thread(Server& server, int number, const WorkerBody& body);

// Runs `body` on `count` kernel threads and waits to be asked to end; then prints the statistics and ends the process,
// because threads blocked in calls cannot be called back. Ends it with status 4 when not all threads can be had.
[[noreturn]] void run_threads(Server& server, int count, const WorkerBody& body);

enum class Descriptors {
  separate,  // fork
  common,    // clone(CLONE_FILES): one descriptor table for all (Pariag 2007, section 5.2)
};

// Runs `body` in `count` processes, made after listen() so that they share the listening socket (Pariag 2007,
// section 5.1). A process that dies is replaced, what it held is given back, and stderr gets a line. Returns when the
// server is asked to end; the processes are gone then. Throws StartError when they cannot be had or keep dying.
void run_processes(Server& server, int count, Descriptors descriptors, const WorkerBody& body);

}  // namespace bakeoff
