// The first stage of a pipeline (WatPipe's, and SEDA's): it accepts connections and hands them to the one that reads.
// It keeps the table of connections, each of which belongs to the stage that has it at the moment.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "core/connection.h"
#include "core/events/poller.h"
#include "core/server.h"
#include "core/stages/stage_handover.h"

namespace bakeoff {

class AcceptingStage {
 public:
  AcceptingStage(Server& server, StageInbox& next)
      : server_(server), next_(next), connections_(static_cast<std::size_t>(server.options().descriptors)) {}

  // BLOCKS: network.
  [[noreturn]] void run(Worker& worker) {
    const Options& options = server_.options();
    const auto poller = server_.make_poller();
    poller->watch(worker.listener.fd(), Interest::read);
    DescriptorSet accepted(options.descriptors);
    for (;;) {
      if (options.admission != Admission::refuse) worker.rest([&] { wait_for_room(); });
      worker.waits();
      worker.waited(*poller, poller->wait(-1).size());
      server_.wait_for_end_of_drain();  // then its own work is done
      for (int n = 0; options.accept_limit == 0 || n < options.accept_limit; ++n) {
        const bool full = server_.occupancy().open() >= options.connections;
        if (full && options.admission == Admission::wait) break;
        const bool closes_idle = full && options.admission == Admission::close_idle;
        if (closes_idle && !may_close_idle()) break;
        const auto [outcome, fd] = server_.accept(worker);
        if (outcome == Listener::Outcome::exhausted)
          std::this_thread::sleep_for(std::chrono::milliseconds(exhausted_pause_ms));
        if (outcome != Listener::Outcome::accepted) break;
        if (closes_idle) {
          server_.occupancy().end_longest_idle();
        } else if (full) {
          Connection::refuse(fd, worker);
          continue;
        }
        std::unique_ptr<Connection> connection = Connection::make(fd, worker);
        if (!connection) continue;
        freed_.fetch_add(0, std::memory_order_acquire);
        connections_[static_cast<std::size_t>(fd)] = std::move(connection);
        accepted.insert(fd);
      }
      hand_over(worker, accepted, next_);
    }
  }

  // REQUIRES, of both: the caller's stage has the connection on fd.
  Connection& at(int fd) { return *connections_[static_cast<std::size_t>(fd)]; }
  // The kernel may give the number to this stage again as soon as it is closed. The kernel orders the two for the
  // processors, but not for the C++ memory model: `freed_` does.
  void end(int fd) {
    std::unique_ptr<Connection> last = std::move(connections_[static_cast<std::size_t>(fd)]);
    freed_.fetch_add(1, std::memory_order_release);
    last.reset();
  }

  // Leaves a batch to the next stage. BLOCKS: lock.
  static void hand_over(Worker& worker, DescriptorSet& batch, StageInbox& next) {
    if (batch.empty()) return;
    const std::size_t connections = batch.size();
    worker.stats.count_batch(connections, next.merge(batch));
  }

 private:
  // One above the bound is the newcomer in whose place another leaves.
  void wait_for_room() {
    const int most = server_.options().connections + (server_.options().admission == Admission::close_idle ? 1 : 0);
    server_.occupancy().wait_below(most);
  }
  // BLOCKS: a moment, while nobody is idle.
  bool may_close_idle() {
    if (server_.occupancy().open() > server_.options().connections) return false;
    if (server_.occupancy().can_make_room(false)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(full_house_pause_ms));
    return false;
  }

  Server& server_;
  StageInbox& next_;
  std::vector<std::unique_ptr<Connection>> connections_;  // by descriptor
  std::atomic<unsigned> freed_ = 0;
};

}  // namespace bakeoff
