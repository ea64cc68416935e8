// SEDA: stages behind event queues, as Haboob is made of them (Welsh 2001; von Behren 2003, section 5).
//
//   who waits        two threads, in event mechanisms, for requests and for room in sockets; a thread of the miss stage,
//                    for the disk; every other stage's threads, for events in their own queue alone
//   what is shared   the address space: one cache, under a lock; a connection belongs to one stage at a time and is
//                    handed on through bounded queues
//   what can block   a thread of the miss stage, on the disk; whoever hands on to a full queue, but never towards the miss
//                    stage: what that has no room for is answered 503 while cheap hits go on (section 2.2)
//   knobs            --workers (most threads a stage), --queue-bound, --thread-control, --batch-control,
//                    --overload-target, --residency, and those of the event mechanism
//
//            +--------+   +------+   +-------+   +-------+  hit, small first   +------+
//   clients  | accept | > | read | = | parse | = | cache | ==================> | send | ==> done: back to read,
//   =======> +--------+   +------+   +-------+   +-------+                     +------+     or wait for room
//                                                    |  miss    +------+          ^
//                                                    +========> | miss | =========+
//                    =  event queue                             +------+ ---> disk
#include <algorithm>
#include <array>
#include <chrono>
#include <thread>
#include <vector>

#include "architectures/accepting_stage.h"
#include "architectures/waiting_stage.h"
#include "core/stages/stage.h"

using namespace bakeoff;

namespace {

const Architecture architecture = {
    .name = "seda",
    .paper = "Welsh 2001",
    .workers_are = "most threads a stage",
    .workers_most = 1024,
    .workers_default = 20,
    .pollers = all_pollers(),
    .bodies = all_bodies(),
    .sends = {Sending::nonblocking},  // a thread of the send stage must not wait for one client
    .residencies = {Residency::cachestat, Residency::nowait, Residency::mincore, Residency::always_absent,
                    Residency::none},
    .has_stages = true,
};

class Seda {
 public:
  static constexpr int own_threads = 4;  // accept, read, room, control

  explicit Seda(Server& server)
      : server_(server),
        to_read_(server.options().descriptors),
        to_room_(server.options().descriptors),
        accepting_(server, to_read_),
        parse_(server, {.first_worker = own_threads}, [this](Worker& w, Stage::Batch& b) { parse(w, b); }),
        cache_(server, {.first_worker = own_threads + server.options().workers},
               [this](Worker& w, Stage::Batch& b) { look_up(w, b); }),
        // One at a time: who waits for the disk must not keep from the rest of the pool what came with it.
        miss_(server,
              {.first_worker = own_threads + 2 * server.options().workers, .most_at_once = 1, .controls_load = true},
              [this](Worker& w, Stage::Batch& b) { miss(w, b); }),
        send_(server, {.first_worker = own_threads + 3 * server.options().workers},
              [this](Worker& w, Stage::Batch& b) { send(w, b); }) {
    for (Stage* stage : stages()) stage->start();
  }

  [[noreturn]] void accept(Worker& worker) { accepting_.run(worker); }

  [[noreturn]] void read(Worker& worker) {
    WaitingStage stage(server_, to_read_, Interest::read);
    const auto next = [&](int fd) {
      stage.release(fd);
      parse_.push(accepting_.at(fd));
    };
    for (;;) {
      stage.wait(worker, next);
      stage.arrived.for_each([&](int fd) { accepting_.at(fd).has_input() ? next(fd) : stage.keep(accepting_.at(fd)); });
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
      stage.wait(worker, [&](int fd) {
        stage.release(fd);
        send_.push(accepting_.at(fd));
      });
      stage.arrived.for_each([&](int fd) {
        accepting_.at(fd).wants_timer() ? stage.pause(accepting_.at(fd)) : stage.keep(accepting_.at(fd));
      });
      stage.arrived.clear();
      stage.deadlines.expire(worker.clock.now_ms(), [&](int fd) {
        if (accepting_.at(fd).expire(worker) == Want::writable) {  // a reply that is due now
          stage.release(fd);
          return send_.push(accepting_.at(fd));
        }
        stage.let_die(fd);  // a reader that takes nothing: there is no answer to that
        accepting_.end(fd);
      });
    }
  }

  void control(Worker& worker) {
    const std::chrono::milliseconds interval(server_.options().thread_control_ms);
    while (interval.count() > 0) {
      std::this_thread::sleep_for(interval);
      for (Stage* stage : stages()) stage->look(worker);
    }
  }

 private:
  // Where connections go that wait for their client. These hand-overs never block, so that no queue waits for itself.
  class Returning {
   public:
    explicit Returning(Seda& seda) : seda_(seda) {}
    ~Returning() {
      seda_.to_read_.merge(to_read_);
      seda_.to_room_.merge(to_room_);
    }
    void settle(const Connection& connection, Want want) {
      if (want == Want::close) return seda_.accepting_.end(connection.fd());
      (want == Want::readable ? to_read_ : to_room_).push_back(connection.fd());
    }

   private:
    Seda& seda_;
    std::vector<int> to_read_;
    std::vector<int> to_room_;
  };

  void parse(Worker& worker, Stage::Batch& batch) {
    Returning returning(*this);
    for (const Stage::Event& event : batch) {
      const std::optional<Want> want = event.connection->parse(worker);
      want ? returning.settle(*event.connection, *want) : cache_.push(*event.connection);
    }
  }

  // Hits go first, and of these the small ones.
  void look_up(Worker& worker, Stage::Batch& batch) {
    const auto misses = std::partition(batch.begin(), batch.end(), [&](const Stage::Event& event) {
      return event.connection->prepare(worker) != Want::disk;
    });
    std::stable_sort(batch.begin(), misses, [](const Stage::Event& a, const Stage::Event& b) {
      return a.connection->body_bytes_left() < b.connection->body_bytes_left();
    });
    Returning returning(*this);
    std::for_each(batch.begin(), misses, [&](const Stage::Event& event) {
      Connection& connection = *event.connection;
      connection.wants_timer() ? returning.settle(connection, Want::timer) : send_.push(connection);
    });
    std::for_each(misses, batch.end(), [&](const Stage::Event& event) {
      if (miss_.try_push(*event.connection)) return;
      event.connection->decline(worker);
      send_.push(*event.connection);
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
      want ? returning.settle(*event.connection, *want) : send_.push(*event.connection);
    }
  }

  void send(Worker& worker, Stage::Batch& batch) {
    Returning returning(*this);
    for (const Stage::Event& event : batch) {
      Connection& connection = *event.connection;
      Want want = connection.transmit(worker);
      if (want == Want::disk && !connection.may_decline()) {
        miss_.push_past_bound(connection);  // half of the reply is out
      } else if (want == Want::disk && miss_.try_push(connection)) {
        // it comes back when its pages are there
      } else {
        if (want == Want::disk) {
          connection.decline(worker);
          want = connection.transmit(worker);
        }
        returning.settle(connection, want);
      }
    }
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
