// SEDA: stages behind event queues, as Haboob is made of them (Welsh 2001; von Behren 2003, section 5).
//
//   who waits        two threads, in event mechanisms, for requests and for space in send buffers; a thread of the miss
//                    stage, for the disk; every other stage's threads, for events in their own queue alone
//   what is shared   the address space: one cache, under a lock; a connection belongs to one stage at a time and is
//                    handed on through bounded queues
//   what can block   a thread of the miss stage, on the disk; whoever hands on to a full queue, but never towards the
//                    miss stage: what its queue cannot take is answered 503 while cheap hits go on (section 2.2)
//   knobs            --workers (most threads a stage), --queue-bound, --thread-control, --batch-control,
//                    --overload-target, --residency, and those of the event mechanism
//
//            +--------+   +------+   +-------+   +-------+  hit, small first   +------+
//   clients  | accept | > | read | = | parse | = | cache | ==================> | send | ==> done: back to read,
//   =======> +--------+   +------+   +-------+   +-------+                     +------+     or wait to write
//                                                    |  miss    +------+          ^
//                                                    +========> | miss | =========+
//                    =  event queue                             +------+ ---> disk
#include <algorithm>
#include <array>
#include <chrono>
#include <new>
#include <thread>

#include "architectures/accepting_stage.h"
#include "architectures/waiting_stage.h"
#include "core/stages/stage.h"

using namespace bakeoff;

namespace {

struct OwnOptions {
  int queue_bound = 1024;
  std::int64_t thread_control_ms = 2000;
  bool batch_control = false;
  std::int64_t overload_target_ms = 0;
} own;

const Architecture architecture = {
    .name = "seda",
    .paper = "Welsh 2001",
    .workers_are = "most threads a stage",
    .workers_most = 1024,
    .workers_default = 20,
    .pollers = all_pollers(),
    .bodies = all_bodies(),
    .sends = {Sending::nonblocking},  // a thread of the send stage must not wait for one client
    .residencies = {Residency::cachestat, Residency::nowait, Residency::mincore, Residency::always_offload,
                    Residency::none},
    .own_options = {number_option("queue-bound", "events that a stage's queue holds at most [1024]", own.queue_bound, 1,
                                  10'000'000),
                    duration_option("thread-control",
                                    "how often thread pools are looked at; 0s: all threads from the start [2s]",
                                    own.thread_control_ms),
                    switch_option("batch-control", "batches as small as throughput allows", own.batch_control),
                    duration_option("overload-target",
                                    "misses are admitted while 90 % of them take no longer; 0s: off [0s]",
                                    own.overload_target_ms)},
};

class Seda {
 public:
  static constexpr int own_threads = 4;  // accept, read, write, control

  explicit Seda(Server& server)
      : server_(server),
        to_read_(server.options().descriptors),
        to_room_(server.options().descriptors),
        accepting_(server, to_read_),
        parse_(server, settings(0, "parse"), [this](Worker& w, Stage::Batch& b) { parse(w, b); }),
        cache_(server, settings(1, "cache"), [this](Worker& w, Stage::Batch& b) { look_up(w, b); }),
        miss_(server, miss_settings(2, "miss"), [this](Worker& w, Stage::Batch& b) { miss(w, b); }),
        send_(server, settings(3, "send"), [this](Worker& w, Stage::Batch& b) { send(w, b); }) {
    for (Stage* stage : stages()) stage->start();
  }

  [[noreturn]] void accept(Worker& worker) { accepting_.run(worker); }

  [[noreturn]] void read(Worker& worker) {
    WaitingStage stage(server_, to_read_, Interest::read);
    const auto next = [&](int fd) {
      stage.release(fd);
      hand(parse_, accepting_.at(fd), worker);
    };
    for (;;) {
      stage.wait(worker, next, [&](int fd) {
        if (accepting_.at(fd).is_drained(worker)) let_die(stage, fd);
      });
      stage.arrived.for_each([&](int fd) {
        if (accepting_.at(fd).has_input()) return next(fd);
        if (!stage.keep(accepting_.at(fd), worker)) let_die(stage, fd);
      });
      stage.arrived.clear();
      stage.deadlines.expire(worker.clock.now_ms(), [&](int fd) {
        stage.release(fd);
        Returning returning(*this);
        returning.settle(accepting_.at(fd), accepting_.at(fd).expire(worker));
      });
    }
  }

  [[noreturn]] void find_room(Worker& worker) {
    WaitingStage stage(server_, to_room_, Interest::write);
    for (;;) {
      stage.wait(
          worker,
          [&](int fd) {
            stage.release(fd);
            hand(send_, accepting_.at(fd), worker);
          },
          [](int) {});
      stage.arrived.for_each([&](int fd) {
        if (accepting_.at(fd).wants_timer()) return stage.pause(accepting_.at(fd));
        if (!stage.keep(accepting_.at(fd), worker)) let_die(stage, fd);
      });
      stage.arrived.clear();
      stage.deadlines.expire(worker.clock.now_ms(), [&](int fd) {
        if (accepting_.at(fd).expire(worker) == Want::writable) {  // a reply that is due now
          stage.release(fd);
          return hand(send_, accepting_.at(fd), worker);
        }
        let_die(stage, fd);  // a reader that takes nothing: there is no answer to that
      });
    }
  }

  void control(Worker& worker) {
    const std::chrono::milliseconds interval(own.thread_control_ms);
    while (interval.count() > 0) {
      std::this_thread::sleep_for(interval);
      for (Stage* stage : stages()) stage->look(worker);
    }
  }

 private:
  // Where connections go that wait for their client. These hand-overs never block, so that no queue waits for itself.
  class Returning {
   public:
    explicit Returning(Seda& seda) : seda_(seda), to_read_(seda.to_read_), to_room_(seda.to_room_) {}
    void settle(const Connection& connection, Want want) {
      if (want == Want::close) return seda_.accepting_.end(connection.fd());
      (want == Want::readable ? to_read_ : to_room_).add(connection.fd());
    }

   private:
    Seda& seda_;
    StageOutbox to_read_;
    StageOutbox to_room_;
  };

  void let_die(WaitingStage& stage, int fd) {
    stage.let_die(fd);
    accepting_.end(fd);
  }

  // Hands the connection on; where there is no memory for an event, it is over.
  enum class Bound : std::uint8_t { kept, ignored };
  void hand(Stage& stage, Connection& connection, Worker& worker, Bound bound = Bound::kept) {
    try {
      bound == Bound::kept ? stage.push(connection) : stage.push_past_bound(connection);
    } catch (const std::bad_alloc&) {
      worker.stats.closed_no_memory.add();
      accepting_.end(connection.fd());
    }
  }

  void parse(Worker& worker, Stage::Batch& batch) {
    Returning returning(*this);
    for (const Stage::Event& event : batch) {
      const std::optional<Want> want = event.connection->parse(worker);
      want ? returning.settle(*event.connection, *want) : hand(cache_, *event.connection, worker);
    }
  }

  // Hits go first, and of these the small ones.
  void look_up(Worker& worker, Stage::Batch& batch) {
    std::erase_if(batch, [&](const Stage::Event& event) {
      if (event.connection->prepare(worker) != Want::close) return false;
      accepting_.end(event.connection->fd());
      return true;
    });
    const auto misses = std::partition(batch.begin(), batch.end(),
                                       [](const Stage::Event& event) { return !event.connection->wants_disk(); });
    std::stable_sort(batch.begin(), misses, [](const Stage::Event& a, const Stage::Event& b) {
      return a.connection->body_bytes_left() < b.connection->body_bytes_left();
    });
    Returning returning(*this);
    std::for_each(batch.begin(), misses, [&](const Stage::Event& event) {
      Connection& connection = *event.connection;
      connection.wants_timer() ? returning.settle(connection, Want::timer) : hand(send_, connection, worker);
    });
    std::for_each(misses, batch.end(), [&](const Stage::Event& event) {
      if (miss_.try_push(*event.connection)) return;
      if (event.connection->reject(worker) == Want::close) return accepting_.end(event.connection->fd());
      hand(send_, *event.connection, worker);
    });
  }

  void miss(Worker& worker, Stage::Batch& batch) {
    Returning returning(*this);
    for (const Stage::Event& event : batch) {
      std::optional<Want> want;
      do {
        worker.stats.helper_jobs.add();
        want = event.connection->wait_for_disk(worker);
      } while (want == Want::disk);
      miss_.done(worker, event);
      want ? returning.settle(*event.connection, *want) : hand(send_, *event.connection, worker);
    }
  }

  void send(Worker& worker, Stage::Batch& batch) {
    Returning returning(*this);
    for (const Stage::Event& event : batch) {
      Connection& connection = *event.connection;
      Want want = connection.transmit(worker);
      if (want == Want::disk && !connection.may_reject()) {
        hand(miss_, connection, worker, Bound::ignored);  // half of the reply is out
      } else if (want == Want::disk && miss_.try_push(connection)) {
        // it comes back when its pages are there
      } else {
        if (want == Want::disk) {
          want = connection.reject(worker);
          if (want != Want::close) want = connection.transmit(worker);
        }
        returning.settle(connection, want);
      }
    }
  }

  Stage::Settings settings(int place, const char* name) const {
    const int threads = server_.options().workers;
    return {.name = name,
            .first_worker = own_threads + place * threads,
            .most_threads = threads,
            .all_at_start = own.thread_control_ms == 0,
            .queue_bound = static_cast<std::size_t>(own.queue_bound),
            .controls_batches = own.batch_control};
  }
  // One at a time: who waits for the disk must not keep from the rest of the pool what came with it.
  Stage::Settings miss_settings(int place, const char* name) const {
    Stage::Settings one = settings(place, name);
    one.most_at_once = 1;
    one.overload_target_ms = own.overload_target_ms;
    return one;
  }
  std::array<Stage*, 4> stages() { return {&parse_, &cache_, &miss_, &send_}; }

  Server& server_;
  StageInbox to_read_;
  StageInbox to_room_;
  AcceptingStage accepting_;
  Stage parse_;
  Stage cache_;
  Stage miss_;
  Stage send_;
};

void serve(Server& server) {
  Seda seda(server);
  run_threads(server, Seda::own_threads, [&](Worker& worker, int number) {
    constexpr const char* names[] = {"accept", "read", "find room", "control"};
    worker.be_called(names[number]);
    switch (number) {
      case 0: seda.accept(worker);
      case 1: seda.read(worker);
      case 2: seda.find_room(worker);
      default: seda.control(worker);
    }
  });
}

}  // namespace

int main(int argc, char** argv) { return server_main(argc, argv, architecture, Sharing::threads, serve); }
