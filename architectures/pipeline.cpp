// Pipeline: WatPipe's four stages (Pariag 2007, section 6).
//
//   who waits        the stage that owns the phase: stage 1 for clients, stage 2 for requests, stage 3 for room in a
//                    socket; a thread of stage 4, for the disk
//   what is shared   the address space: one cache, under a lock; a connection belongs to one stage at a time, and stages
//                    hand over batches by merging sets of descriptors
//   what can block   a writer thread; stage 3 waits for the batch, because stages 3 and 4 run in turn
//   knobs            --workers (writer threads), --connections, --poller (select in the paper), --accept-limit
//
//            +----------+     +-------------+     +-----------------+  batch  +-------------+
//   clients  | 1 accept | ==> | 2 read with | ==> | 3 writable with | <=====> | 4 writers   |
//   =======> |          |     |   select    |     |     select      | in turn |  1 ... N    | ---> disk
//            +----------+     +-------------+     +-----------------+         +-------------+
//                                    ^                     |
//                                    +----- next request --+
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "core/connection.h"
#include "core/deadline_wheel.h"
#include "core/stage_handover.h"
#include "core/workers.h"

using namespace bakeoff;

namespace {

const Architecture architecture = {
    .name = "pipeline",
    .paper = "Pariag 2007, section 6",
    .workers_are = "writer threads of stage 4",
    .workers_most = 1024,
    .workers_default = 25,
    .pollers = {EventMechanism::select, EventMechanism::poll, EventMechanism::epoll},
    .bodies = all_bodies(),
    .sends = {Sending::nonblocking, Sending::blocking},
};

// Descriptors ran out: how long until accepting is tried again.
constexpr auto exhausted_pause = std::chrono::milliseconds(100);

class Pipeline {
 public:
  explicit Pipeline(Server& server)
      : server_(server),
        connections_(static_cast<std::size_t>(server.options().descriptors)),
        to_read_(server.options().descriptors),
        to_write_(server.options().descriptors) {}

  [[noreturn]] void stage1_accept(Worker& worker) {
    const Options& options = server_.options();
    const auto poller = server_.make_poller();
    poller->watch(server_.listener().fd(), Interest::read);
    DescriptorSet accepted(options.descriptors);
    for (;;) {
      if (options.admission == Admission::wait) wait_for_room();
      count(worker, *poller, poller->wait(-1).size());
      worker.clock.refresh();
      for (int n = 0; options.accept_limit == 0 || n < options.accept_limit; ++n) {
        const bool full = open_.load() >= options.connections;
        if (full && options.admission == Admission::wait) break;
        const auto [outcome, fd] = server_.accept(worker);
        if (outcome == Listener::Outcome::exhausted) std::this_thread::sleep_for(exhausted_pause);
        if (outcome != Listener::Outcome::accepted) break;
        if (full) {
          Connection::refuse(fd, worker);
          continue;
        }
        ++open_;
        at(fd) = std::make_unique<Connection>(fd, worker);
        accepted.insert(fd);
      }
      hand_over(worker, accepted, to_read_);
    }
  }

  [[noreturn]] void stage2_read(Worker& worker) {
    const auto poller = server_.make_poller();
    poller->watch(to_read_.fd(), Interest::read);
    DeadlineWheel deadlines(server_.options().descriptors);
    DescriptorSet arrived(server_.options().descriptors);
    DescriptorSet replies(server_.options().descriptors);
    const auto settle = [&](int fd, Want want) {
      if (want == Want::readable) {
        poller->watch(fd, Interest::read);
        deadlines.set(fd, at(fd)->deadline_ms());
        return;
      }
      deadlines.clear(fd);
      if (want == Want::close) {
        poller->closing(fd);
        end(fd);
      } else {  // a reply to be written, or a name to be looked up on the disk: stage 4 does either
        poller->forget(fd);
        replies.insert(fd);
      }
    };
    for (;;) {
      const auto events = poller->wait(deadlines.wait_ms(worker.clock.now_ms()));
      worker.clock.refresh();
      count(worker, *poller, events.size());
      for (const Ready& event : events) {
        if (event.fd == to_read_.fd()) {
          to_read_.take(arrived);
        } else {
          settle(event.fd, at(event.fd)->prepare(worker));
        }
      }
      arrived.for_each([&](int fd) { settle(fd, at(fd)->has_input() ? at(fd)->prepare(worker) : Want::readable); });
      arrived.clear();
      deadlines.expire(worker.clock.now_ms(), [&](int fd) { settle(fd, at(fd)->expire(worker)); });
      hand_over(worker, replies, to_write_);
    }
  }

  [[noreturn]] void stage3_find_writable(Worker& worker) {
    const auto poller = server_.make_poller();
    poller->watch(to_write_.fd(), Interest::read);
    DeadlineWheel deadlines(server_.options().descriptors);
    DescriptorSet arrived(server_.options().descriptors);
    DescriptorSet written(server_.options().descriptors);
    const auto expect = [&](int fd) {
      if (at(fd)->wants_disk()) {  // no socket has to be ready for that
        batch_.push_back({fd, Want::disk});
      } else {
        poller->watch(fd, Interest::write);
        deadlines.set(fd, at(fd)->deadline_ms());
      }
    };
    for (;;) {
      batch_.clear();
      const auto events = poller->wait(deadlines.wait_ms(worker.clock.now_ms()));
      worker.clock.refresh();
      count(worker, *poller, events.size());
      for (const Ready& event : events) {
        if (event.fd == to_write_.fd()) {
          to_write_.take(arrived);
        } else {
          batch_.push_back({event.fd, Want::writable});
        }
      }
      arrived.for_each(expect);
      arrived.clear();
      while (!batch_.empty()) {
        writers_.run(batch_);
        for (const Item& item : std::exchange(batch_, {})) {
          switch (item.want) {
            case Want::writable:
            case Want::disk:
              expect(item.fd);
              break;
            case Want::readable:
              poller->forget(item.fd);
              deadlines.clear(item.fd);
              written.insert(item.fd);
              break;
            case Want::close:
              poller->closing(item.fd);
              deadlines.clear(item.fd);
              end(item.fd);
              break;
          }
        }
      }
      deadlines.expire(worker.clock.now_ms(), [&](int fd) {
        at(fd)->expire(worker);  // a reader that takes nothing: there is no answer to that
        poller->closing(fd);
        end(fd);
      });
      hand_over(worker, written, to_read_);
    }
  }

  [[noreturn]] void stage4_write(Worker& worker) {
    writers_.work([&](Item& item) {
      worker.clock.refresh();
      Connection& connection = *at(item.fd);
      item.want = item.want == Want::disk ? connection.wait_for_disk(worker).value_or(Want::writable)
                                          : connection.transmit(worker);
    });
  }

 private:
  struct Item {
    int fd;
    Want want;  // before stage 4: writable or disk; after it: what the connection wants next
  };

  std::unique_ptr<Connection>& at(int fd) { return connections_[static_cast<std::size_t>(fd)]; }

  void end(int fd) {
    at(fd).reset();
    --open_;
    open_.notify_one();
  }

  void wait_for_room() {
    for (int open; (open = open_.load()) >= server_.options().connections;) open_.wait(open);
  }

  static void count(Worker& worker, const Poller& poller, std::size_t ready) {
    worker.stats.polls.add();
    worker.stats.poll_ready.add(ready);
    worker.stats.poll_watched.add(poller.watched());
  }

  static void hand_over(Worker& worker, DescriptorSet& batch, StageInbox& next) {
    if (batch.empty()) return;
    worker.stats.batches.add();
    worker.stats.batch_connections.add(batch.size());
    next.merge(batch);
  }

  Server& server_;
  std::vector<std::unique_ptr<Connection>> connections_;  // by descriptor; each belongs to the stage that has it
  StageInbox to_read_;
  StageInbox to_write_;
  std::vector<Item> batch_;  // stage 3's, and in its turn stage 4's
  TurnPool<Item> writers_;
  std::atomic<int> open_ = 0;
};

void serve(Server& server) {
  Pipeline pipeline(server);
  run_threads(server, 3 + server.options().workers, [&](Worker& worker, int number) {
    switch (number) {
      case 0: pipeline.stage1_accept(worker);
      case 1: pipeline.stage2_read(worker);
      case 2: pipeline.stage3_find_writable(worker);
      default: pipeline.stage4_write(worker);
    }
  });
}

}  // namespace

int main(int argc, char** argv) { return server_main(argc, argv, architecture, Sharing::threads, serve); }
