// Who does the work: this thread alone, kernel threads, or processes.
#pragma once

#include <functional>

#include "core/server.h"

namespace bakeoff {

// Each worker's body serves until the server is asked to end.
using WorkerBody = std::function<void(Worker& worker, int number)>;

// Runs `body` on the calling thread, as worker 0. It must return when Server::stop_fd becomes readable.
void run_alone(Server& server, const WorkerBody& body);

// Starts one more kernel thread, which runs `body` as worker `number`; it ends when the body returns, and its number
// may be used again. `body` must live as long. Throws StartError.
void start_thread(Server& server, int number, const WorkerBody& body);

// Runs `body` on `count` kernel threads until the server is asked to end; then prints the statistics and ends the
// process, because threads blocked in calls cannot be stopped. Ends it with status 4 when not all threads can be
// started, or when an exception leaves a body.
[[noreturn]] void run_threads(Server& server, int count, const WorkerBody& body);

enum class Descriptors {
  separate,  // fork
  common,    // clone(CLONE_FILES): one descriptor table for all (Pariag 2007, section 5.2)
};

// Runs `body` in `count` processes, made after listen() so that they share the listening socket (Pariag 2007, section
// 5.1). A process that dies is replaced, its descriptors and pins are given back, and stderr gets a line. If no new
// process can be started, the others go on, and it tries again after pauses that grow to ten seconds. Returns when the
// server is asked to end; the processes are gone then. Throws StartError when they cannot be started, or when all have
// died and the last ones each within a second.
void run_processes(Server& server, int count, Descriptors descriptors, const WorkerBody& body);

}  // namespace bakeoff
