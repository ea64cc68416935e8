// A SEDA stage (Welsh 2001, section 3): a bounded event queue, a pool of threads, and a handler that takes events in
// batches; three controllers watch them (stage_controllers.h). An event is a connection that its sender hands over.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "core/connection.h"
#include "core/server.h"
#include "core/sharing/blocking_queue.h"
#include "core/stages/stage_controllers.h"
#include "core/workers/workers.h"

namespace bakeoff {

class Stage {
 public:
  struct Event {
    Connection* connection;
    std::chrono::steady_clock::time_point entered;
  };
  using Batch = std::vector<Event>;
  using Handler = std::function<void(Worker& worker, Batch& batch)>;

  struct Settings {
    const char* name = "stage";  // of its threads, where what they do is shown
    int first_worker = 0;        // its threads are workers first_worker ... first_worker + most_threads - 1
    int most_threads = 1;
    bool all_at_start = false;            // else one thread begins, and look() adds to it
    std::size_t queue_bound = 1024;       // events that the queue holds at most
    std::size_t most_at_once = 1000;      // events of one batch
    bool controls_batches = false;        // with the batching controller
    std::int64_t overload_target_ms = 0;  // of the overload controller that guards this stage; 0: it has none
  };

  Stage(Server& server, const Settings& settings, Handler handler);
  // BLOCKS: until what is queued is handled and the threads have ended.
  ~Stage();
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  // Begins the first threads. Throws StartError.
  void start();

  // Both pushes throw std::bad_alloc; the connection is still the caller's then. BLOCKS: lock; and while the queue
  // is full.
  void push(Connection& connection) { queue_.push(event(connection)); }
  // BLOCKS: lock. False, and the connection stays the caller's, when the queue is full, there is no memory for it,
  // or the overload controller admits no more.
  bool try_push(Connection& connection);
  // BLOCKS: lock. For a connection whose reply is half out.
  void push_past_bound(Connection& connection) { queue_.push_past_bound(event(connection)); }

  // The handler is done with an event: the overload controller's input. BLOCKS: lock.
  void done(Worker& worker, const Event& event);

  // One look of the thread-pool controller, counted as the caller's.
  void look(Worker& worker);

 private:
  static Event event(Connection& connection) { return {&connection, std::chrono::steady_clock::now()}; }
  static std::int64_t ns(std::chrono::steady_clock::time_point time) { return time.time_since_epoch().count(); }
  void add_thread();
  bool end_thread(int number);
  void work(Worker& worker, int number);
  std::size_t batch_limit(Worker& worker, std::size_t handled);

  Server& server_;
  Settings settings_;
  Handler handler_;
  WorkerBody body_;
  BlockingQueue<Event> queue_;

  std::mutex threads_mutex_;
  ThreadPoolController threads_control_;
  std::vector<int> free_numbers_;
  int threads_ = 0;
  bool ending_ = false;
  std::condition_variable ended_;

  std::mutex batches_mutex_;
  std::optional<BatchingController> batches_control_;
  std::uint64_t handled_ = 0;

  std::mutex load_mutex_;
  std::optional<OverloadController> load_control_;
};

}  // namespace bakeoff
